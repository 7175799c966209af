// Package probe asks one target once.
//
// It is given a context with a deadline, a target and a [Module] (the schema of
// blackbox_exporter), and gives a [Result]: success or the reason of the
// failure out of a closed set, how long it took, and the series that
// blackbox_exporter would show for it, under the same names and labels.
//
// Every probe opens a new connection, ends at the deadline of its context, and
// answers even when a part of it panics. What can be prepared once for a module
// is prepared by [New]; a probe itself touches no registry and keeps no state.
// Protocols have a file each (http.go, tcp.go); what they share stands in
// tls.go and resolve.go.
package probe
