package probe

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

const (
	// maxLine bounds a line that an expect is matched against, in bytes.
	maxLine = 64 << 10
	// maxNoted bounds the lines that are noted of one expect: a server may send
	// lines until the deadline.
	maxNoted = 10
)

// queryResponse is one step of a conversation: what is expected, then what is
// sent, then whether TLS begins.
type queryResponse struct {
	// Expect skips lines until one matches.
	Expect pattern `yaml:"expect,omitempty"`
	// ExpectBytes are the very next bytes.
	ExpectBytes string `yaml:"expect_bytes,omitempty"`
	// Labels make probe_expect_info of the groups of Expect.
	Labels []Label `yaml:"labels,omitempty"`
	// Send is sent with a line end; groups of Expect are put in. It is shown on
	// /config, as a conversation without it tells nobody what is probed: a
	// secret belongs into SendFile.
	Send string `yaml:"send,omitempty"`
	// SendFile names a file whose content is sent in place of Send, as it is,
	// with a line end if it has none. It is read by each probe and never shown.
	SendFile string `yaml:"send_file,omitempty"`
	StartTLS bool   `yaml:"starttls,omitempty"`
}

// checkScript reports mistakes of a query_response under paths inside the block.
func checkScript(steps []queryResponse, report func(path, text string)) {
	for i, step := range steps {
		at := under(fmt.Sprintf("query_response[%d]", i), report)
		if step.Expect.Regexp != nil && step.ExpectBytes != "" {
			at("expect_bytes", "expect is given too; want one of the two")
		}
		if step.Send != "" && step.SendFile != "" {
			at("send_file", "send is given too; want one of the two")
		}
		checkLabels(step.Labels, at)
	}
}

// unwiseScript reports what has no effect in a query_response.
func unwiseScript(steps []queryResponse, report func(path, text string)) {
	for i, step := range steps {
		if len(step.Labels) > 0 && step.Expect.Regexp == nil {
			report(fmt.Sprintf("query_response[%d].labels", i), "they have no effect without an expect to take their values from")
		}
	}
}

// checkLabels wants names that can stand on a page, each once: Prometheus would
// refuse the whole page for one that it keeps for itself or finds twice.
func checkLabels(labels []Label, report func(path, text string)) {
	for i, label := range labels {
		at := fmt.Sprintf("labels[%d].name", i)
		same := func(other Label) bool { return other.Name == label.Name }
		switch {
		case !model.LegacyValidation.IsValidLabelName(label.Name):
			report(at, fmt.Sprintf("%q is no label name", label.Name))
		case strings.HasPrefix(label.Name, "__"):
			report(at, fmt.Sprintf("label name %q is reserved", label.Name))
		case slices.IndexFunc(labels, same) < i:
			report(at, fmt.Sprintf("label name %q stands twice in labels", label.Name))
		}
	}
}

// scriptIn gives the steps with the names of their files relative to dir.
func scriptIn(dir string, steps []queryResponse) []queryResponse {
	steps = slices.Clone(steps)
	for i := range steps {
		steps[i].SendFile = config.JoinDir(dir, steps[i].SendFile)
	}
	return steps
}

// script is the conversation of a module, and the TLS around it.
type script struct {
	steps  []queryResponse
	family string // of the series with the phases
	tls    *tlsSource
}

// phase is a part of a conversation, in the order of their series.
type phase int

const (
	resolving phase = iota
	connecting
	securing
	querying
	phaseCount
)

// talkPhases are the labels of each phase.
var talkPhases = [phaseCount][]Label{{{"phase", "resolve"}}, {{"phase", "connect"}}, {{"phase", "tls"}}, {{"phase", "query"}}}

// talk is one conversation on its way.
type talk struct {
	*run
	*script
	serverName string // to ask for by TLS when the module names none
	conn       net.Conn
	reader     *bufio.Reader
	phases     [phaseCount]time.Duration
	reached    [phaseCount]bool
	confided   bool // a secret was sent: what the server says may repeat it
	badMatch   bool
	badBytes   bool
	info       [][]Label
	state      tls.ConnectionState // of the last handshake
}

// hold is the part of a probe that begins with a connection: TLS when it is to
// be there from the start, then the conversation.
func (k *talk) hold(conn net.Conn, secure bool) error {
	k.conn = conn
	if k.explain {
		k.note("connected", "local", conn.LocalAddr(), "remote", conn.RemoteAddr())
	}
	if secure {
		if err := k.startTLS(); err != nil {
			// As for a connection that was never made: nothing was asked of it.
			k.conn = nil
			return err
		}
	}
	if len(k.steps) == 0 {
		return nil
	}
	return k.converse()
}

// spent adds to a phase, which is shown from then on.
func (k *talk) spent(p phase, took time.Duration) {
	k.phases[p] += took
	k.reached[p] = true
}

// startTLS turns the connection into a TLS one. What was read ahead in clear
// does not belong to it and is dropped.
func (k *talk) startTLS() error {
	start := time.Now()
	defer func() { k.spent(securing, time.Since(start)) }()
	settings, err := k.tls.clientOr(k.serverName)
	if err != nil {
		return err
	}
	secured, state, err := k.secure(k.conn, settings)
	k.state = state
	if err != nil {
		return err
	}
	k.conn, k.reader = secured, nil
	return nil
}

// converse goes through the steps of query_response.
func (k *talk) converse() error {
	start, before := time.Now(), k.phases[securing]
	defer func() { k.spent(querying, time.Since(start)-(k.phases[securing]-before)) }()
	for i := range k.steps {
		if err := k.step(i, &k.steps[i]); err != nil {
			return fail(Protocol, fmt.Errorf("query_response[%d]: %w", i, err))
		}
	}
	return nil
}

// step does what one entry says, in the order of its fields.
func (k *talk) step(i int, s *queryResponse) error {
	if k.reader == nil {
		k.reader = bufio.NewReaderSize(k.conn, 1<<10)
	}
	send := []byte(s.Send)
	if s.Expect.Regexp != nil {
		line, match, err := k.expect(i, s.Expect)
		if err != nil {
			return err
		}
		send = s.Expect.Expand(nil, send, line, match)
		k.inform(s, line, match)
	}
	if s.ExpectBytes != "" {
		if err := k.expectBytes(i, []byte(s.ExpectBytes)); err != nil {
			return err
		}
	}
	if err := k.send(i, send, s.SendFile); err != nil {
		return err
	}
	if s.StartTLS {
		return k.startTLS()
	}
	return nil
}

// send writes a line, or the content of the file when one is named.
func (k *talk) send(i int, line []byte, file string) error {
	switch {
	case file != "":
		secret, err := readFile(file)
		if err != nil {
			return &failure{Internal, fmt.Errorf("send_file: %w", err)}
		}
		line = bytes.TrimSuffix(secret, []byte("\n"))
		k.confided = true
		if k.explain {
			k.note("send", "step", i, "file", file)
		}
	case len(line) == 0:
		return nil
	case k.explain:
		k.note("send", "step", i, "line", shorten(line))
	}
	if _, err := k.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// expect reads lines until one matches. The end of the stream ends the last
// line, too.
func (k *talk) expect(i int, want pattern) (line []byte, match []int, err error) {
	k.badMatch = false
	for count := 0; ; {
		line, err = k.line()
		if err == nil || len(line) > 0 {
			count++
			match = want.FindSubmatchIndex(line)
			k.noteLine(i, count, line, match != nil)
			if match != nil {
				return line, match, nil
			}
		}
		if errors.Is(err, io.EOF) {
			k.badMatch = true
			return nil, nil, &failure{Content, fmt.Errorf("none of %d lines matches %q", count, want)}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("expecting %q: %w", want, err)
		}
	}
}

// noteLine notes a line of the server, of those that do not match the first.
func (k *talk) noteLine(i, count int, line []byte, match bool) {
	if k.explain && (match || count <= maxNoted) {
		k.note("line read", "step", i, "number", count, "line", k.shown(line), "match", match)
	}
}

// line reads one line without its end. With io.EOF it gives what is left.
func (k *talk) line() ([]byte, error) {
	var line []byte
	for {
		part, err := k.reader.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, &failure{Size, fmt.Errorf("line is longer than %d bytes", maxLine)}
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		default:
			return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
		}
	}
}

// expectBytes reads on where expect stopped: both share one buffer, so bytes
// that came with a line are not lost. It waits for all bytes, however they are
// cut into packets.
func (k *talk) expectBytes(i int, want []byte) error {
	got := make([]byte, len(want))
	n, err := io.ReadFull(k.reader, got)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("expecting %d bytes: %w", len(want), err)
	}
	k.badBytes = !bytes.Equal(got[:n], want)
	if k.explain {
		k.note("bytes read", "step", i, "bytes", k.shown(got[:n]), "match", !k.badBytes)
	}
	if k.badBytes {
		return &failure{Content, fmt.Errorf("bytes are %s, want %q", k.shown(got[:n]), want)}
	}
	return nil
}

// shown is a text of the server for people. After a secret was sent it is only
// counted, since servers repeat what they were told.
func (k *talk) shown(text []byte) string {
	if k.confided {
		return fmt.Sprintf("%d bytes, not shown after send_file", len(text))
	}
	return shorten(text)
}

// shorten quotes the beginning of a text.
func shorten(text []byte) string {
	const most = 200
	if len(text) > most {
		return fmt.Sprintf("%q… (%d bytes)", text[:most], len(text))
	}
	return fmt.Sprintf("%q", text)
}

// inform keeps the labels of a step, once each. Several steps may have labels,
// of the same names or of others.
func (k *talk) inform(s *queryResponse, line []byte, match []int) {
	if s.Labels == nil {
		return
	}
	labels := make([]Label, len(s.Labels))
	for i, label := range s.Labels {
		value := s.Expect.Expand(nil, []byte(label.Value), line, match)
		labels[i] = Label{label.Name, strings.ToValidUTF8(string(value), "\uFFFD")}
	}
	if !slices.ContainsFunc(k.info, func(other []Label) bool { return sameSeries(other, labels) }) {
		k.info = append(k.info, labels)
	}
}

// sameSeries tells whether labels stand for one series, which may be given only
// once: their order has no meaning, and one without a value is none.
func sameSeries(a, b []Label) bool {
	told := func(labels []Label) []Label {
		labels = slices.DeleteFunc(slices.Clone(labels), func(l Label) bool { return l.Value == "" })
		slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
		return labels
	}
	return slices.Equal(told(a), told(b))
}

// report keeps the series of the conversation, also of one that failed.
func (k *talk) report() {
	for p, took := range k.phases {
		if k.reached[p] {
			k.add(k.family, "Seconds in each phase.", took.Seconds(), talkPhases[p]...)
		}
	}
	k.addTLS(k.state)
	if k.conn == nil {
		return
	}
	value := map[bool]float64{true: 1}
	k.add("probe_failed_due_to_regex", "1 when a regular expression made the probe fail.", value[k.badMatch])
	k.add("probe_failed_due_to_bytes", "1 when expect_bytes made the probe fail.", value[k.badBytes])
	for _, labels := range k.info {
		k.add("probe_expect_info", "What an expect with labels matched.", 1, labels...)
	}
}
