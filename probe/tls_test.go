package probe

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

func BenchmarkTLS(b *testing.B) {
	s, ca := secureSite(b, false, func(http.ResponseWriter, *http.Request) {})
	p := prober(b, "{prober: tcp, tcp: {tls: true, tls_config: {ca_file: "+ca+"}}}")
	address := strings.TrimPrefix(s.URL, "https://")
	b.ReportAllocs()
	for b.Loop() {
		if r := p.Run(context.Background(), address); !r.Success {
			b.Fatal(r.Err)
		}
	}
}
