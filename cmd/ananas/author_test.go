package main

import (
	"errors"
	"os/user"
	"testing"
)

// A change has an author where the shell names none: the user by the system's list, or by number.
func TestAuthor(t *testing.T) {
	known := func(uid string) (*user.User, error) { return &user.User{Uid: uid, Username: "ana"}, nil }
	unknown := func(uid string) (*user.User, error) { return nil, errors.New("there is no list of users") }
	if got := userName("1000", known); got != "ana" {
		t.Errorf("got %q", got)
	}
	if got := userName("0", unknown); got != "uid 0" {
		t.Errorf("got %q", got)
	}
	env := map[string]string{}
	p := &process{env: func(name string) string { return env[name] }}
	if got := author(p); got == "" {
		t.Error("nobody is the author")
	}
	env["LOGNAME"] = "ben"
	if got := author(p); got != "ben" {
		t.Errorf("got %q", got)
	}
	env["USER"] = "ada"
	if got := author(p); got != "ada" {
		t.Errorf("got %q", got)
	}
}
