package blackbox_test

import (
	"net"
	"strings"

	"github.com/miekg/dns"
)

// nameServer is what resolv.conf names in the network of the tests.
const nameServer = "127.0.0.1"

// serveNames answers what the programs resolve: four.test, six.test and both.test
// with the addresses of the loopback, none.test with none, broken.test with
// SERVFAIL, silent.test never, and all others with NXDOMAIN.
func (w *world) serveNames() {
	w.dns("udp", net.JoinHostPort(nameServer, "53"), func(reply dns.ResponseWriter, query *dns.Msg) {
		answer := new(dns.Msg).SetReply(query)
		question := query.Question[0]
		name := strings.TrimSuffix(question.Name, ".test.")
		switch {
		case name == "silent":
			return
		case name == "broken":
			answer.Rcode = dns.RcodeServerFailure
		case question.Qtype == dns.TypeA && (name == "four" || name == "both"):
			answer.Answer = append(answer.Answer, record(question.Name+" 60 IN A 127.0.0.1"))
		case question.Qtype == dns.TypeAAAA && (name == "six" || name == "both"):
			answer.Answer = append(answer.Answer, record(question.Name+" 60 IN AAAA ::1"))
		case name != "four" && name != "six" && name != "both" && name != "none":
			answer.Rcode = dns.RcodeNameError
		}
		reply.WriteMsg(answer)
	})
}

// record reads a resource record; those of the tests are well formed.
func record(text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return rr
}

// dns starts a name server on an address and gives where it listens.
func (w *world) dns(network, address string, answer dns.HandlerFunc) (addr string) {
	w.t.Helper()
	started := make(chan error, 1)
	server := &dns.Server{Addr: address, Net: network, Handler: answer, NotifyStartedFunc: func() { started <- nil }}
	if network == "tcp-tls" {
		server.TLSConfig = w.server(w.good)
	}
	go func() { started <- server.ListenAndServe() }()
	if err := <-started; err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { server.Shutdown() })
	if server.Listener != nil {
		return server.Listener.Addr().String()
	}
	return server.PacketConn.LocalAddr().String()
}
