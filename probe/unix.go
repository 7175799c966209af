package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/prometheus/common/config"
)

// Unix is the unix block of a module: it talks to a unix socket. Its target is
// the path of the socket, or its name after @ where Linux knows no path.
type Unix struct {
	QueryResponse []queryResponse `yaml:"query_response,omitempty"`
	TLS           bool            `yaml:"tls,omitempty"`
	// TLSConfig needs server_name or insecure_skip_verify where TLS is spoken:
	// a path is no name that a certificate could be for.
	TLSConfig config.TLSConfig `yaml:"tls_config,omitempty"`
}

// defaultUnix is the block that blackbox_exporter takes where none is written.
func defaultUnix() Unix { return Unix{} }

// setDirectory makes the names of files relative to the folder dir.
func (u *Unix) setDirectory(dir string) {
	u.QueryResponse = scriptIn(dir, u.QueryResponse)
	u.TLSConfig.SetDirectory(dir)
}

// check reports under paths inside the block.
func (u *Unix) check(report func(path, text string)) {
	checkTLS(u.TLSConfig, under("tls_config", report))
	checkScript(u.QueryResponse, report)
}

// checkSocket is CheckTarget of unix.
func checkSocket(_ *Module, target string) error {
	if most := len(syscall.RawSockaddrUnix{}.Path) - 1; len(target) > most {
		return fmt.Errorf("target: the path of the socket has %d bytes; want %d at most", len(target), most)
	}
	return nil
}

// unixProber is a unix block made ready.
type unixProber struct {
	Unix
	script
}

// useUnix makes p probe unix. As in blackbox_exporter there is no other name to
// ask for.
func (p *Prober) useUnix(string) error {
	u := &unixProber{Unix: p.module.Unix}
	u.script = script{steps: u.QueryResponse, family: "probe_unix_duration_seconds", tls: &tlsSource{settings: u.TLSConfig}}
	p.probe = u.probe
	return nil
}

// probe is the whole of a unix probe: connect, converse, report.
func (u *unixProber) probe(r *run) error {
	k := &talk{run: r, script: &u.script}
	defer k.report()
	start := time.Now()
	conn, release, err := r.open("unix", r.target, nil)
	k.spent(connecting, time.Since(start))
	if err != nil {
		return socketFailure(err)
	}
	defer release()
	return k.hold(conn, u.TLS)
}

// socketFailure gives the reason of a socket that cannot be opened. Errors of
// the file system mean other things here than for a network.
func socketFailure(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EAGAIN): // nobody listens, or the queue is full
		return &failure{Refused, err}
	case errors.Is(err, syscall.EPROTOTYPE): // a socket of datagrams
		return &failure{Protocol, err}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOTDIR),
		errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP):
		return &failure{Internal, err}
	}
	return err
}
