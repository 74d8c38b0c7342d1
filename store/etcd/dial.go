package etcd

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// maxSocket is the length that a socket's path may have everywhere, in octets: 108 with the zero at its end on Linux, 104 on the BSDs.
const maxSocket = 103

// socket returns a path of the socket in a folder that is short enough. If its own is not, that is through a link in a folder that only we can read, which done removes.
func socket(folder string) (path string, done func(), err error) {
	if path = filepath.Join(folder, socketName); len(path) <= maxSocket {
		return path, func() {}, nil
	}
	short, err := os.MkdirTemp("", "ananas-") // mode 0700
	if err != nil {
		return "", nil, fmt.Errorf("making a short path to etcd's socket: %w", err)
	}
	done = func() { _ = os.RemoveAll(short) } // in the folder for such things
	if err := os.Symlink(folder, filepath.Join(short, "d")); err != nil {
		done()
		return "", nil, fmt.Errorf("making a short path to etcd's socket: %w", err)
	}
	return filepath.Join(short, "d", socketName), done, nil
}

// dial makes a client of the child that runs now.
func (r *Root) dial() (*clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:          []string{"unix:" + socketName}, // a name for grpc; the dialer knows where it is
		MaxCallSendMsgSize: maxRequest,
		MaxCallRecvMsgSize: maxAnswer,
		MaxUnaryRetries:    1, // who repeats what is for us to decide
		Logger:             zap.NewNop(),
		Context:            r.ctx,
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", r.socket)
			}),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 2, MaxDelay: time.Second}, MinConnectTimeout: time.Second}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making a client of etcd: %w", err)
	}
	return client, nil
}
