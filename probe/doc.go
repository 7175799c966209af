// Package probe asks one target once.
//
// It is given a context with a deadline, a target and a [Module] (the schema of
// blackbox_exporter), and gives a [Result]: success or the reason of the
// failure out of a closed set, how long it took, and the series that
// blackbox_exporter would show for it, under the same names and labels.
//
// Every probe opens a new connection, ends at the deadline of its context, and
// answers even when a part of it panics. Only pings share sockets, those of a
// [Network]. What can be prepared once for a module is prepared by [New]; a
// probe itself touches no registry and keeps no state.
//
// A module stands in module.go, a probe in probe.go, what it gives in result.go.
// Each protocol has a file with its block of the module, what is checked of it
// when it is loaded, and its way through a probe:
//
//   - http.go: the block; http_request.go makes the request, http_exchange.go
//     follows the redirects and judges the answer, http_wire.go speaks HTTP/1 and
//     HTTP/2 over a connection, http_proxy.go takes the slower way through a proxy
//     or with a token, http_body.go reads the body, http_cel.go holds it against
//     conditions as JSON
//   - tcp.go and unix.go: the blocks; converse.go is the conversation that both
//     can hold
//   - icmp.go: the block; icmp_pinger.go hands answers to the probes that wait,
//     icmp_message.go reads and writes messages, icmp_stats.go counts, and the
//     files of Linux (icmp_socket_linux.go, icmp_filter_linux.go,
//     icmp_errors_linux.go) hold the sockets
//   - dns.go: the block; dns_rules.go holds records against expressions
//   - grpc.go: the block, and the one connection that gRPC is given
//
// What they share stands in resolve.go (names), tls.go, file.go (files that a
// module names) and network.go (the sockets of pings).
package probe
