package blackbox_test

import (
	"slices"
	"sync"
	"testing"
)

// intention is one way in which ours may differ. In all patterns * stands for
// anything.
type intention struct {
	name         string // of the cases
	what         string // series
	ours, theirs string
	why          string
}

// intentions is the whole list. Whatever is not here must be equal.
func intentions() []intention {
	return []intention{
		// Series that theirs does not have.
		{"*", "probe_failure_reason{*}", "1", absent, "why it failed, by a closed set"},
		{"*", "probe_resolved_address_info{*}", "1", absent, "a hash tells that the address changed, not which it is"},
		{"*", "probe_tcp_duration_seconds{*}", "*", absent, "tcp has phases, too, as every other protocol"},
		{"*", "probe_unix_duration_seconds{*}", "*", absent, "and so has unix"},
		{"*", "probe_ssl_earliest_cert_expiry", "*", absent, "expiry matters most when it is why the probe failed; DoT has a certificate, too"},
		{"*", "probe_ssl_last_chain_info{*}", "1", absent, "the certificate that was refused is what people look for"},
		{"*", "probe_tls_version_info{*}", "1", absent, "it was agreed on before the certificate was refused"},
		{"*", "probe_tls_cipher_info{*}", "1", absent, "every protocol tells the cipher, not http alone"},
		{"dns: DoT*", "probe_ssl_last_chain_expiry_timestamp_seconds", "*", absent, "DoT has a certificate as everything over TLS"},
		{"grpc: TLS*", "probe_ssl_last_chain_expiry_timestamp_seconds", "*", absent, "and so has grpc"},

		// Values that tell more, or more truly.
		{"tls: *", `probe_http_duration_seconds{phase="connect"}`, "some time", "no time", "the connection stood though the handshake failed"},
		{"tls: a * that is *", "probe_http_duration_seconds{*}", "*", absent, "files are read when the handshake needs them: the connection stands by then"},
		{"dns: DoT with a missing ca_file", `probe_dns_duration_seconds{phase="connect"}`, "some time", "no time", "the same"},
		{"icmp: a source address that is not ours", `probe_icmp_duration_seconds{phase="setup"}`, "some time", "no time", "setting up took its time though it did not succeed"},
		{"grpc: TLS of an unknown service", "probe_grpc_ssl", "1", "0", "the connection was over TLS whatever the service said"},
		{"*not followed*", "probe_http_uncompressed_body_length", "*", "0", "an answer that is not followed has a body as any other"},
		{"http: eleven redirects*", "probe_http_uncompressed_body_length", "*", "0", "the same, for the redirect too many"},
		{"http: the body of a redirect not followed", "probe_*", "*", "*", "the same: its body is judged by the module"},
		{"tcp: *", "probe_failed_due_to_bytes", "1", "0", "other bytes came than expect_bytes says, fewer of them"},
		{"unix: *", "probe_failed_due_to_bytes", "1", "0", "the same"},

		{"http: a port out of range", "probe_*", absent, "*", "a target that can never be probed is refused at once"},
		{"http: no host", "probe_*", absent, "*", "the same"},
		{"http: only a path", "probe_*", absent, "*", "the same"},
		{"http: another scheme", "probe_*", absent, "*", "the same: theirs looks for a host that is called ftp"},
		{"tcp: port 0", "probe_*", absent, "*", "the same"},
		{"tcp: a port out of range", "probe_*", absent, "*", "the same"},

		// What theirs gets wrong.
		{"http: PUT of a file redirected by 30*", "probe_*", "*", "*", "a body from a file is sent again when the redirect wants it"},
		{"http: credentials stay at home", "probe_*", "*", "*", "theirs sends secret http_headers to whatever host a redirect names"},
		{"http: * is not accepted by itself", "probe_*", "*", "*", "who sets compression asks for it: without Accept-Encoding most servers send none, and theirs fails"},
		{"http: answer: 100 too often", "probe_*", "*", "*", "a server that never comes to its answer is given up after eight that are none"},
		{"http: CEL after an expression that read the body", "probe_*", "*", "*", "theirs reads the body once for expressions, and finds none left for CEL"},
		{"http: the agent", "probe_*", "*", "*", "another program has another name; headers: {User-Agent: …} sets one"},
		{"tls: Host with a port is the name", "probe_*", "*", "*", "a port is no part of the name in a certificate"},
		{"*: a*ca_file*without TLS", "probe_*", "*", "*", "a file that the probe does not need cannot make it fail"},
		{"grpc: no block", "probe_*", "*", "*", "theirs does not fall back to the other IP family when the block is missing"},
		{"grpc: IPv6", "probe_*", "*", "*", "theirs dials ::1 without its brackets, and finds nobody"},
		{"grpc: a service of odd health", `probe_grpc_healthcheck_response{serving_status="77"}`, absent, "1", "a server does not choose labels: one series per status that gRPC knows"},
		{"grpc: * after the deadline", "probe_*", "*", "*", "theirs keeps no deadline"},
		{"*: lines, then bytes", "probe_success", "1", "0", "theirs loses the bytes that came with a line"},
		{"dns: the query comes back", "probe_*", "0", "1", "a query is no answer, not even to itself"},
		{"dns: no code is valid", "probe_success", "1", "0", "an empty list means the default, as valid_status_codes: [] does"},
	}
}

// ledger keeps which intentions were used, by how many cases.
type ledger struct {
	mu    sync.Mutex
	list  []intention
	used  []int
	cases int
}

// newLedger begins with none used.
func newLedger() *ledger {
	list := intentions()
	return &ledger{list: list, used: make([]int, len(list))}
}

// intended tells whether a difference stands in the list.
func (l *ledger) intended(d difference) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, one := range l.list {
		if like(one.name, d.name) && like(one.what, d.what) && like(one.ours, d.ours) && like(one.theirs, d.theirs) {
			l.used[i]++
			return true
		}
	}
	return false
}

// meant tells whether the two may differ in a series of a case.
func (l *ledger) meant(name, what string) bool {
	return slices.ContainsFunc(l.list, func(one intention) bool { return like(one.name, name) && like(one.what, what) && one.theirs != absent })
}

// count notes that a case was run to its end.
func (l *ledger) count() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cases++
}

// close prints the list and, when all cases were run, wants each entry used: a
// difference that is gone must go from the list.
func (l *ledger) close(t *testing.T, total int) {
	t.Helper()
	t.Logf("%d of %d cases compared; intended differences:", l.cases, total)
	for i, one := range l.list {
		t.Logf("%4d × %s: %s: ours %s, theirs %s: %s", l.used[i], one.name, one.what, one.ours, one.theirs, one.why)
		if l.used[i] == 0 && l.cases == total {
			t.Errorf("intended difference that no case shows: %+v", one)
		}
	}
}
