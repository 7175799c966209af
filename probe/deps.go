// This file holds the places of libraries whose users are on their way.
package probe

import (
	_ "cel.dev/cel-go/cel"
	_ "github.com/andybalholm/brotli"
	_ "github.com/miekg/dns"
	_ "golang.org/x/net/icmp"
	_ "google.golang.org/grpc"
	_ "google.golang.org/grpc/health/grpc_health_v1"
)
