package probe

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Defect 3 of blackbox_exporter: the reader of lines swallows the bytes after
// the line, and fewer bytes in one packet than wanted count as a failure.
func TestConverse_BytesAfterALineAreNotLost(t *testing.T) {
	at := serve(t, func(conn net.Conn) {
		io.WriteString(conn, "+OK\nab")
		bufio.NewReader(conn).ReadString('\n') // waits for the other end, which has read "ab" by then
		for _, part := range []string{"c", "d", "e\r\nlast"} {
			io.WriteString(conn, part)
		}
	})
	wantSuccess(t, ask(t, `
prober: tcp
tcp: {query_response: [{expect: OK}, {expect_bytes: ab, send: go}, {expect_bytes: cde}, {expect_bytes: "\r\n"}, {expect: ^last$}]}
`, at))
}

func TestConverse_LinesMatchWithoutTheirEnd(t *testing.T) {
	for _, c := range []struct{ says, expect string }{
		{"one\r\ntwo\r\n", "^two$"}, {"one\ntwo", "^two$"}, {"\r\nnext\n", "^$"}, {"a\rb\n", "^a\rb$"}, {"\xff\xfe\n", "^..$"},
		{strings.Repeat("x", maxLine-1) + "\n", "^x+$"}, {strings.Repeat("x\n", 5000) + "end\n", "^end$"},
	} {
		wantSuccess(t, ask(t, fmt.Sprintf("{prober: tcp, tcp: {query_response: [{expect: %q}]}}", c.expect), serve(t, converses(c.says))))
	}
	// After the last line end there is no further line, not even an empty one.
	r := ask(t, "{prober: tcp, tcp: {query_response: [{expect: ^$}]}}", serve(t, converses("one\n")))
	wantReason(t, r, Content, "none of 1 lines")
}

func TestConverse_GroupsArePutIntoWhatIsSent(t *testing.T) {
	for _, c := range []struct{ step, want string }{
		{`{expect: '^(\S+) (?P<rest>.*)$', send: '<$1|${rest}|$2|${none}|$$1>'}`, "<220|north side|north side||$1>\n"},
		{`{expect: '220', send: '$0'}`, "220\n"},
		{`{send: '$1 $$ ${x}'}`, "$1 $$ ${x}\n"}, // nothing was expected: nothing is put in
		{`{expect_bytes: '220', send: '$0'}`, "$0\n"},
		{`{send: "EHLO me\r"}`, "EHLO me\r\n"},
		{`{expect: '220( never)?', send: '$1'}, {send: end}`, "end\n"}, // an empty line is not sent
	} {
		said := make(chan string, 1)
		at := serve(t, func(conn net.Conn) {
			io.WriteString(conn, "220 north side\r\n")
			line, _ := bufio.NewReader(conn).ReadString('\n')
			said <- line
		})
		wantSuccess(t, ask(t, "{prober: tcp, tcp: {query_response: ["+c.step+"]}}", at))
		if got := <-said; got != c.want {
			t.Errorf("%s: sent %q, want %q", c.step, got, c.want)
		}
	}
}

// blackbox_exporter panics at the second step with labels.
func TestConverse_SeveralStepsMayHaveLabels(t *testing.T) {
	at := serve(t, converses("220 mail\nversion 3\n220 mail\n"))
	r := ask(t, `
prober: tcp
tcp:
  query_response:
  - {expect: '^(\d+) (.*)$', labels: [{name: code, value: $1}, {name: host, value: '$2.test'}]}
  - {expect: '^version (.*)$', labels: [{name: code, value: $1}, {name: host, value: ''}]}
  - {expect: '^(\d+) (.*)$', labels: [{name: code, value: $1}, {name: host, value: '$2.test'}]}
  - {expect_bytes: ''}
`, at)
	wantSuccess(t, r)
	want := "probe_expect_info{code=\"220\",host=\"mail.test\"} 1\nprobe_expect_info{code=\"3\",host=\"\"} 1\n"
	if got := exposition(r.Samples); !strings.HasSuffix(got, "probe_failed_due_to_bytes 0\n"+want) {
		t.Errorf("got\n%swant the end\n%s", got, want)
	}
	r = ask(t, "{prober: tcp, tcp: {query_response: [{expect: 220, labels: [{name: a, value: x}]}, {expect: v, labels: [{name: b, value: y}]}, {expect: 2, labels: []}]}}", at)
	wantSuccess(t, r)
	want = "probe_expect_info{a=\"x\"} 1\nprobe_expect_info{b=\"y\"} 1\nprobe_expect_info 1\n"
	if got := exposition(r.Samples); !strings.HasSuffix(got, want) {
		t.Errorf("got\n%swant the end\n%s", got, want)
	}
	// What matched before a failure is shown all the same.
	r = ask(t, "{prober: tcp, tcp: {query_response: [{expect: 220, labels: [{name: a, value: x}]}, {expect: never}]}}", at)
	wantReason(t, r, Content, "query_response[1]")
	wantValue(t, r, "probe_expect_info", 1, "x")
}

// A series that stands twice on a page costs the page.
func TestConverse_SameLabelsOfSeveralStepsAreOneSeries(t *testing.T) {
	at := serve(t, speaks("1\n2\n3\n4\n5\n6\n"))
	r := ask(t, `
prober: tcp
tcp:
  query_response:
  - {expect: 1, labels: [{name: a, value: x}, {name: b, value: y}]}
  - {expect: 2, labels: [{name: b, value: y}, {name: a, value: x}]}
  - {expect: '3(z?)', labels: [{name: b, value: y}, {name: c, value: $1}, {name: a, value: x}]}
  - {expect: 4, labels: [{name: a, value: y}, {name: b, value: x}]}
  - {expect: '5(z?)', labels: [{name: a, value: $1}]}
  - {expect: 6, labels: []}
`, at)
	wantSuccess(t, r)
	want := "probe_failed_due_to_bytes 0\nprobe_expect_info{a=\"x\",b=\"y\"} 1\nprobe_expect_info{a=\"y\",b=\"x\"} 1\nprobe_expect_info{a=\"\"} 1\n"
	if got := exposition(r.Samples); !strings.HasSuffix(got, want) {
		t.Errorf("got\n%swant the end\n%s", got, want)
	}
}

func TestConverse_WhatWasSaidBeforeTLSIsNotTakenForAnAnswerWithinIt(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	config := &tls.Config{Certificates: s.TLS.Certificates}
	at := serve(t, func(conn net.Conn) {
		io.WriteString(conn, "220 go\r\n250 injected\r\n")
		secured := tls.Server(conn, config)
		if secured.Handshake() == nil {
			io.WriteString(secured, "500 no\r\n")
		}
	})
	r := ask(t, "{prober: tcp, tcp: {query_response: [{expect: go, starttls: true}, {expect: ^250}], tls_config: {server_name: example.com, ca_file: "+ca+"}}}", at)
	wantReason(t, r, Content, "query_response[1]: none of 1 lines")
}

func TestConverse_StepsAfterTheHandshakeAreSentWithinIt(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	config := &tls.Config{Certificates: s.TLS.Certificates}
	at := serve(t, func(conn net.Conn) {
		first := readLine(conn)
		secured := tls.Server(conn, config)
		second, _ := bufio.NewReader(secured).ReadString('\n')
		fmt.Fprintf(secured, "%q %q\n", first, second)
	})
	// send and starttls of one step: sent in clear, then TLS begins.
	wantSuccess(t, ask(t, `{prober: tcp, tcp: {query_response: [{send: a, starttls: true}, {send: b}, {expect: '^"a\\n" "b\\n"$'}],
  tls_config: {server_name: example.com, ca_file: `+ca+`}}}`, at))
}

// readLine reads one line and not a byte more.
func readLine(conn net.Conn) string {
	var line []byte
	for one := make([]byte, 1); !bytes.HasSuffix(line, []byte("\n")); line = append(line, one...) {
		if _, err := conn.Read(one); err != nil {
			break
		}
	}
	return string(line)
}

// echoes sends every line back.
func echoes(conn net.Conn) { io.Copy(conn, conn) }

func TestConverse_SecretsOfFilesAreReadByEachProbe(t *testing.T) {
	dir := t.TempDir()
	var m Module
	text := `{prober: tcp, tcp: {query_response: [{send: hello}, {expect: (hello), send_file: auth}, {expect: '(?s)^(.*)$', labels: [{name: answer, value: $1}]}]}}`
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	m.SetDirectory(dir)
	p, err := New(m, NewNetwork())
	if err != nil {
		t.Fatal(err)
	}
	at := serve(t, echoes)
	r := p.Run(t.Context(), at)
	wantReason(t, r, Internal, "query_response[1]: send_file: open "+filepath.Join(dir, "auth"))
	for _, secret := range []string{"AUTH $1 ${x}", "AUTH next\n", "AUTH crlf\r\n", "AUTH " + strings.Repeat("x", 3000)} {
		if err := os.WriteFile(filepath.Join(dir, "auth"), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		r = p.Run(t.Context(), at)
		wantSuccess(t, r)
		wantValue(t, r, "probe_expect_info", 1, strings.TrimRight(secret, "\r\n"))
	}
}

func TestConverse_SecretsOfFilesAreNeitherShownNorQuoted(t *testing.T) {
	auth := filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(auth, []byte("topsecret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"expect_bytes: something", "expect: something"} {
		p := prober(t, "{prober: tcp, tcp: {query_response: [{send_file: "+auth+"}, {"+step+"}]}}")
		r := p.Explain(t.Context(), serve(t, func(conn net.Conn) {
			line, _ := bufio.NewReader(conn).ReadString('\n')
			io.WriteString(conn, line)
		}))
		wantReason(t, r, Content, "query_response[1]")
		if shown := fmt.Sprint(r.Err, r.Notes, exposition(r.Samples)); strings.Contains(shown, "topse") || !strings.Contains(shown, auth) {
			t.Errorf("%s: shown is %s", step, shown)
		}
		shown, err := yaml.Marshal(p.module)
		if err != nil || !strings.Contains(string(shown), "send_file: "+auth) {
			t.Errorf("%v, %s", err, shown)
		}
	}
}

func TestConverse_ContentOfAFileEndsWithOneLineEnd(t *testing.T) {
	for content, want := range map[string]string{"a": "a\n", "a\n": "a\n", "a\r\n": "a\r\n", "a\nb\n": "a\nb\n", "a\n\n": "a\n\n", "": "\n"} {
		said := make(chan string, 1)
		at := serve(t, func(conn net.Conn) {
			all, _ := io.ReadAll(conn)
			said <- string(all)
		})
		wantSuccess(t, ask(t, "{prober: tcp, tcp: {query_response: [{send_file: "+keep(t, content)+"}]}}", at))
		if got := <-said; got != want {
			t.Errorf("file %q: sent %q, want %q", content, got, want)
		}
	}
}

// noted gives the texts of notes with their values.
func noted(r Result) string {
	var b strings.Builder
	for _, n := range r.Notes {
		b.WriteString(n.Text)
		for i := 0; i < len(n.Values); i += 2 {
			fmt.Fprintf(&b, " %v=%v", n.Values[i], n.Values[i+1])
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestConverse_NotesTellEveryStep(t *testing.T) {
	s, ca := secureSite(t, false, func(http.ResponseWriter, *http.Request) {})
	config := &tls.Config{Certificates: s.TLS.Certificates, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	peer := make(chan string, 1)
	at := serve(t, func(conn net.Conn) {
		peer <- conn.RemoteAddr().String()
		io.WriteString(conn, strings.Repeat("noise\n", 12)+"ready\nabc")
		readLine(conn)
		tls.Server(conn, config).Handshake()
	})
	text := `{prober: tcp, tcp: {query_response: [{expect: (rea)dy, send: '$1'}, {expect_bytes: abc}, {starttls: true}], tls_config: {server_name: example.com, ca_file: ` + ca + `}}}`
	r := prober(t, text).Explain(t.Context(), at)
	wantSuccess(t, r)
	var want strings.Builder
	fmt.Fprintf(&want, "resolved host=127.0.0.1 address=127.0.0.1\nconnected local=%s remote=%s\n", <-peer, at)
	for i := range maxNoted {
		fmt.Fprintf(&want, "line read step=0 number=%d line=\"noise\" match=false\n", i+1)
	}
	fmt.Fprintf(&want, `line read step=0 number=13 line="ready" match=true
send step=0 line="rea"
bytes read step=1 bytes="abc" match=true
TLS handshake server_name=example.com version=TLS 1.2 cipher=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 protocol= subject=O=Acme Co expires=%v
`, s.Certificate().NotAfter)
	if got := noted(r); got != want.String() {
		t.Errorf("got\n%swant\n%s", got, want.String())
	}
	if r := ask(t, text, at); len(r.Notes) != 0 {
		t.Errorf("%d notes that nobody asked for", len(r.Notes))
	}
}

// chunks is a connection whose other end says text in pieces of the sizes given,
// over and over, and takes whatever it is told.
type chunks struct {
	net.Conn
	text  []byte
	sizes []byte
	reads int
	said  bytes.Buffer
}

func (c *chunks) Read(to []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	size := len(c.text)
	if len(c.sizes) > 0 {
		size = 1 + int(c.sizes[c.reads%len(c.sizes)])
		c.reads++
	}
	n := copy(to, c.text[:min(size, len(c.text))])
	c.text = c.text[n:]
	return n, nil
}

func (c *chunks) Write(text []byte) (int, error) { return c.said.Write(text) }

// FuzzQueryResponse: whatever a server says, cut into whatever pieces, every
// conversation ends with a result, and the pieces make no difference to it.
func FuzzQueryResponse(f *testing.F) {
	scripts := []string{
		`[{expect: '^(2..) ?(.*)$', labels: [{name: rest, value: '$2'}], send: '<$2>'}, {expect_bytes: ab}, {expect: 'c$'}]`,
		`[{expect_bytes: "\0\x01"}, {expect: '', send: '$0'}, {expect: ''}, {expect_bytes: x, send: y}]`,
		`[{send: a}, {expect: '(?i)ok'}, {expect_bytes: "ab\n"}, {expect: '^$'}, {expect_bytes: "\r\n", send: b}]`,
	}
	for _, seed := range []string{"", "220 ready\r\nabc\n", "\n\n\n", "\x00\x01line\nx\nx", "OK\nab\n\n\r\nrest", strings.Repeat("x", 5000) + "\n", "\xff\xfe 220 \n220\nabc"} {
		f.Add([]byte(seed), []byte{0, 3})
	}
	var probers []*Prober
	for _, steps := range scripts {
		probers = append(probers, prober(f, "{prober: tcp, tcp: {query_response: "+steps+"}}"))
	}
	f.Fuzz(func(t *testing.T, text, sizes []byte) {
		for i, p := range probers {
			whole, said := conversation(t, p, &chunks{text: text})
			cut, saidCut := conversation(t, p, &chunks{text: text, sizes: sizes})
			if whole.Reason != cut.Reason || said != saidCut {
				t.Fatalf("script %d: in one piece %q (%v), said %q; in pieces %q (%v), said %q", i, whole.Reason, whole.Err, said, cut.Reason, cut.Err, saidCut)
			}
			if got, want := exposition(cut.Samples[max(0, len(cut.Samples)-1):]), exposition(whole.Samples[max(0, len(whole.Samples)-1):]); got != want {
				t.Fatalf("script %d: in one piece %s; in pieces %s", i, want, got)
			}
		}
	})
}

// conversation holds the conversation of p with a server, and gives what it was
// told.
func conversation(t *testing.T, p *Prober, server *chunks) (Result, string) {
	q := *p
	q.probe = func(r *run) error {
		k := &talk{run: r, script: &script{steps: p.module.TCP.QueryResponse, family: "probe_tcp_duration_seconds"}, conn: server}
		defer k.report()
		return k.converse()
	}
	r := q.Run(t.Context(), "fuzz")
	if r.Success != (r.Reason == "") || r.Reason == Internal {
		t.Fatalf("success %v, reason %q, %v", r.Success, r.Reason, r.Err)
	}
	return r, server.said.String()
}
