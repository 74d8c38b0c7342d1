package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ananas-edge/ananas/admin"
)

// Modules lists the modules that the node has.
func (c *Client) Modules(ctx context.Context) (l admin.ModuleList, err error) {
	return l, c.ask(ctx, http.MethodGet, "/api/v1/modules", nil, nil, &l)
}

// ModuleLog returns what a module has logged on the node, behind the line with a sequence number; "" is all of them, and 0 all lines.
func (c *Client) ModuleLog(ctx context.Context, name string, after uint64) (l admin.ModuleLog, err error) {
	q := url.Values{}
	if name != "" {
		q.Set("name", name)
	}
	if after > 0 {
		q.Set("after", strconv.FormatUint(after, 10))
	}
	return l, c.ask(ctx, http.MethodGet, "/api/v1/modules/log", q, nil, &l)
}
