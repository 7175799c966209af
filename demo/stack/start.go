package stack

import (
	"context"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

// Server says where one of the servers stands and what it reads.
type Server struct {
	Name   string // for people; empty = the program's name
	Config string // file
	Data   string // folder, made by the server
	Addr   string // host:port to listen on
	Log    string // file
}

// PrometheusCommand starts Prometheus, with POST /-/reload.
func (p Parts) PrometheusCommand(s Server) process.Command {
	return s.command(p.Prometheus,
		"--config.file="+s.Config, "--storage.tsdb.path="+s.Data, "--web.listen-address="+s.Addr,
		"--web.enable-lifecycle", "--storage.tsdb.retention.time=1d")
}

// AlertmanagerCommand starts one Alertmanager without peers.
func (p Parts) AlertmanagerCommand(s Server) process.Command {
	return s.command(p.Alertmanager,
		"--config.file="+s.Config, "--storage.path="+s.Data, "--web.listen-address="+s.Addr,
		"--cluster.listen-address=")
}

// command adds what both servers have in common.
func (s Server) command(p Program, args ...string) process.Command {
	if s.Name == "" {
		s.Name = p.Name
	}
	return process.Command{Name: s.Name, Path: p.Path, Args: args, Log: s.Log, Ready: "http://" + s.Addr + "/-/ready"}
}

// poll asks ten times a second until done, an error, or the end of ctx.
func poll(ctx context.Context, ask func() (done bool, err error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := ask(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
