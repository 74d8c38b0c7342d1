package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/ananas-edge/ananas/admin"
)

// Modules lists the modules that the node has.
func (c *Client) Modules(ctx context.Context) (l admin.ModuleList, err error) {
	return l, c.ask(ctx, http.MethodGet, "/api/v1/modules", nil, nil, &l)
}

// ModuleLog returns what a module has logged on the node; "" is all of them.
func (c *Client) ModuleLog(ctx context.Context, name string) (l admin.ModuleLog, err error) {
	q := url.Values{}
	if name != "" {
		q.Set("name", name)
	}
	return l, c.ask(ctx, http.MethodGet, "/api/v1/modules/log", q, nil, &l)
}
