package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// mostBytes of an answer, as the server has it: gRPC's own 4 MiB are too few for the segments of a large image.
const mostBytes = 16 << 20

// Connection says where a server is and how to reach it.
type Connection struct {
	Server string
	TLS    bool   // trust the usual authorities
	CA     string // or those in this PEM file
	Token  string // none if empty
}

// Open makes a channel. It connects with the first call, whose error then says what is wrong.
func (c Connection) Open() (*grpc.ClientConn, error) {
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{
		transport,
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostBytes)),
		// Finds out that the server is gone although nobody said so. More often than every 10 s is abuse.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
	}
	if c.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer{c.Token, c.isLocal()}))
	}
	return grpc.Dial(c.Server, options...) // grpc.NewClient since grpc-go 1.63
}

func (c Connection) transport() (grpc.DialOption, error) {
	if c.CA != "" {
		trusted, err := credentials.NewClientTLSFromFile(c.CA, "")
		return grpc.WithTransportCredentials(trusted), err
	}
	if c.TLS {
		return grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})), nil
	}
	return grpc.WithInsecure(), nil // grpc.WithTransportCredentials(insecure.NewCredentials()) since grpc-go 1.41
}

func (c Connection) isLocal() bool {
	host, _, err := net.SplitHostPort(c.Server)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// bearer sends a token with every call; over plain text only to this machine.
type bearer struct {
	token string
	local bool
}

// GetRequestMetadata is asked for each call, so a token that expires could be renewed here.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": fmt.Sprintf("Bearer %s", b.token)}, nil
}

// RequireTransportSecurity makes gRPC refuse to send the token over plain text to another machine.
func (b bearer) RequireTransportSecurity() bool { return !b.local }
