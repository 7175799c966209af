// Command cmd finds, builds or fetches the real Prometheus and Alertmanager
// and prints where they lie. It is given --which with the generations wanted,
// comma-joined: path (what is on PATH, else a build), build, debian. With build
// comes blackbox_exporter, too, which tests compare ours with.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/demo/term"
)

func main() {
	which := flag.String("which", "path", "generations wanted, comma-joined: path, build, debian")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := show(ctx, strings.Split(*which, ","))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

func show(ctx context.Context, which []string) error {
	say := term.New(os.Stdout)
	for _, w := range which {
		parts, err := stack.Find(ctx, stack.Options{Which: w, Progress: say})
		if err != nil {
			return err
		}
		programs := parts.All()
		if w == "build" {
			oracle, err := stack.Blackbox(ctx, stack.Options{Progress: say})
			if err != nil {
				return err
			}
			programs = append(programs, oracle)
		}
		for _, p := range programs {
			say.Line("  %-17s %-12s %-7s %s", p.Name, p.Version, p.From, p.Path)
		}
	}
	return nil
}
