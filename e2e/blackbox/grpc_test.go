package blackbox_test

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ward answers some services by itself, and leaves the rest to the library.
type ward struct {
	*health.Server
	end context.Context
}

// Check implements grpc_health_v1.HealthServer.
func (h ward) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	switch r.Service {
	case "late":
		select {
		case <-time.After(3 * time.Second): // who keeps a deadline of one has gone by then
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		case <-h.end.Done():
		}
	case "denied":
		return nil, status.Error(codes.PermissionDenied, "no")
	case "broken":
		return nil, status.Error(codes.Internal, "broken")
	case "odd":
		return &grpc_health_v1.HealthCheckResponse{Status: 77}, nil
	case "metadata":
		md, _ := metadata.FromIncomingContext(ctx)
		if v := md.Get("key"); len(v) != 2 || v[1] != "value2" {
			return nil, status.Error(codes.Unauthenticated, "no key")
		}
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
	}
	return h.Server.Check(ctx, r)
}

// grpc starts a server with the health service or without it.
func (w *world) grpc(address string, healthy bool, settings *tls.Config) (addr string) {
	w.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	var options []grpc.ServerOption
	if settings != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(settings)))
	}
	s := grpc.NewServer(options...)
	if healthy {
		h := health.NewServer()
		for _, name := range []string{"up", "late"} {
			h.SetServingStatus(name, grpc_health_v1.HealthCheckResponse_SERVING)
		}
		h.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		h.SetServingStatus("unknown", grpc_health_v1.HealthCheckResponse_UNKNOWN)
		h.SetServingStatus("gone", grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN)
		grpc_health_v1.RegisterHealthServer(s, ward{h, w.end})
	}
	go s.Serve(l)
	w.t.Cleanup(s.Stop)
	return l.Addr().String()
}

// grpcCases ask health services.
func grpcCases(w *world) (all []probeCase) {
	add := func(name, block, target, want string, shows ...string) *probeCase {
		all = append(all, probeCase{name: name, prober: "grpc", block: block, target: target, want: want, shows: shows})
		return &all[len(all)-1]
	}
	site := w.grpc("127.0.0.1:0", true, nil)
	serving := `probe_grpc_healthcheck_response{serving_status="SERVING"} `
	add("serving", "{}", site, "", serving+"1", "probe_grpc_status_code 0", "probe_grpc_ssl 0")
	add("no block", "", site, "")
	add("with a scheme", "{}", "http://"+site, "")
	add("a service", "{service: up}", site, "", serving+"1")
	add("a service that is down", "{service: down}", site, "status", serving+"0", `probe_grpc_healthcheck_response{serving_status="NOT_SERVING"} 1`)
	add("a service of unknown health", "{service: unknown}", site, "status", `probe_grpc_healthcheck_response{serving_status="UNKNOWN"} 1`)
	add("a service that is gone", "{service: gone}", site, "status")
	add("a service of odd health", "{service: odd}", site, "status")
	add("an unknown service", "{service: none}", site, "status", "probe_grpc_status_code 5")
	add("a denied service", "{service: denied}", site, "status", "probe_grpc_status_code 7")
	add("a broken service", "{service: broken}", site, "status", "probe_grpc_status_code 13")
	add("metadata", "{service: metadata, metadata: {key: [value1, value2]}}", site, "")
	add("metadata that is missing", "{service: metadata}", site, "status", "probe_grpc_status_code 16")
	add("no health service", "{}", w.grpc("127.0.0.1:0", false, nil), "status", "probe_grpc_status_code 12")
	add("nobody listens", "{}", w.closed(), "refused", "probe_grpc_status_code 14")
	add("no route", "{}", "192.0.2.1:80", "unreachable", "probe_grpc_status_code 14")
	add("no such name", "{}", "nowhere.test:80", "dns", "probe_grpc_status_code 0")
	add("a name with IPv4", "{}", "four.test:"+port(site), "", "probe_ip_protocol 4")
	add("a name with IPv4 without fallback", "{ip_protocol_fallback: false}", "four.test:"+port(site), "dns")
	add("IPv6", "{}", w.grpc("[::1]:0", true, nil), "", "probe_ip_protocol 6")
	add("no gRPC but HTTP", "{}", w.web("127.0.0.1:0", nil), "protocol")
	add("no gRPC but a banner", "{}", w.tcp(says("SSH-2.0-OpenSSH\r\n")), "protocol")
	add("closed at once", "{}", w.tcp(func(net.Conn) {}), "any")
	add("a service that answers after the deadline", "{service: late}", site, "timeout").timeout = "1s"
	add("a silent server that ends after the deadline", "{}", w.tcp(func(conn net.Conn) {
		conn.SetDeadline(time.Now().Add(3 * time.Second))
		silent(conn)
	}), "timeout").timeout = "1s"
	add("no URL", "{}", "http://[::1", "internal")
	add("hostname changes nothing", "{}", site, "").query = "hostname=host.test"
	block := func(more string) string { return "{tls: true, tls_config: {ca_file: " + w.ca + more + "}}" }
	for name, c := range map[string]struct {
		cert tls.Certificate
		want string
	}{
		"good": {w.good, ""}, "expired": {w.expired, "certificate"}, "other name": {w.other, "certificate"},
		"stranger": {w.foreign, "certificate"}, "signed by itself": {w.alone, "certificate"}, "chain": {w.chained, ""},
	} {
		at := w.grpc("127.0.0.1:0", true, w.server(c.cert))
		add("TLS "+name, block(""), at, c.want)
		add("TLS "+name+", not verified", "{tls: true, tls_config: {insecure_skip_verify: true}}", at, "", "probe_grpc_ssl 1")
	}
	secure := w.grpc("127.0.0.1:0", true, w.server(w.good))
	add("TLS of a name", block(""), "four.test:"+port(secure), "")
	add("TLS with server_name", block(", server_name: host.test"), secure, "")
	add("TLS of an unknown service", "{service: none, tls: true, tls_config: {ca_file: "+w.ca+"}}", secure, "status")
	add("TLS to plain gRPC", block(""), site, "tls")
	add("plain to TLS", "{}", secure, "any")
	add("TLS to nobody", block(""), w.closed(), "refused")
	add("TLS with a missing ca_file", "{tls: true, tls_config: {ca_file: "+w.dir+"/none.pem}}", secure, "internal")
	add("a missing ca_file without TLS", "{tls_config: {ca_file: "+w.dir+"/none.pem}}", site, "")
	old := w.server(w.good)
	old.MaxVersion = tls.VersionTLS12
	add("TLS 1.2", block(""), w.grpc("127.0.0.1:0", true, old), "", `probe_tls_version_info{version="TLS 1.2"} 1`)
	return all
}
