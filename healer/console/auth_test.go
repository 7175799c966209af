package console

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAuth_ReportsAllMistakes(t *testing.T) {
	a := &Auth{Metrics: "closed", Clients: []Client{
		{Name: "a", Roles: []Role{"notify"}, Source: "nowhere", BearerFile: "missing.token"},
		{Name: "a", Roles: []Role{"root"}},
		{Roles: []Role{"read"}, Basic: &basicAuth{BcryptFile: "empty"}, BearerFile: "empty"},
		{Name: "c", ClientCert: &struct {
			SubjectCN string `yaml:"subject_cn"`
			SAN       string `yaml:"san"`
		}{SubjectCN: "sre"}},
	}}
	a.SetDirectory("testdata")
	var got []string
	a.Check([]string{"main"}, func(path, text string) { got = append(got, path+": "+text) })
	want := []string{
		`metrics: got "closed", want open or read`,
		`clients[0].source: got "nowhere", want the name of one of alertmanagers ["main"]: it names the source of what this client sends`,
		`clients[0].bearer_file: reading the credential: open testdata/missing.token: no such file or directory`,
		`clients[1].name: got "a", want a name of its own: it stands in the audit trail`,
		`clients[1].roles[0]: got "root", want one of [notify change read approve run pause admin]`,
		`clients[1]: got 0 kinds of credential, want exactly one of bearer_file, basic, client_cert`,
		`clients[2].name: got "", want a name of its own: it stands in the audit trail`,
		`clients[2].bearer_file: empty is empty, want one credential`,
		`clients[2].basic.user: want a user name`,
		`clients[2].basic.bcrypt_file: empty is empty, want one credential`,
		`clients[2]: got 2 kinds of credential, want exactly one of bearer_file, basic, client_cert`,
		`clients[3].roles: want at least one role`,
		`clients[3].client_cert: known, not yet available`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

func TestAdmin_ImpliesAllAndNobodyElseDoes(t *testing.T) {
	all := []Role{RoleNotify, RoleChange, RoleRead, RoleApprove, RoleRun, RolePause}
	for _, r := range all {
		for _, has := range append(slices.Clone(all), RoleAdmin) {
			c := Client{Roles: []Role{has}}
			if got, want := c.may(r), has == r || has == RoleAdmin; got != want {
				t.Errorf("a client with %s may %s: got %t, want %t", has, r, got, want)
			}
		}
	}
}

func TestSlowdown_DelaysGrowPerAddressAndEnd(t *testing.T) {
	s := newSlowdown()
	var got []time.Duration
	for range 8 {
		got = append(got, s.delay("10.0.0.1:1234"))
	}
	want := []time.Duration{50e6, 100e6, 200e6, 400e6, 800e6, 1600e6, 2e9, 2e9}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delays (-want +got):\n%s", diff)
	}
	if d := s.delay("10.0.0.2:1"); d != slowFirst {
		t.Errorf("another address waits %s, want %s", d, slowFirst)
	}
	for i := range 10_000 {
		s.delay(fmt.Sprintf("h%d:1", i))
	}
	if len(s.bad) > 4097 {
		t.Errorf("%d addresses are remembered, want at most 4097", len(s.bad))
	}
}

func TestSlowdown_ThoseWhoWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowdown()
		begin := time.Now()
		for range cap(s.waiting) {
			go s.wait(context.Background(), "10.0.0.1:1")
		}
		synctest.Wait()
		s.wait(context.Background(), "10.0.0.1:1")
		if d := time.Since(begin); d != 0 {
			t.Errorf("the one too many waited %s, want an answer at once", d)
		}
		<-time.After(3 * time.Second) // of the bubble's clock: let them all end
		synctest.Wait()
		if len(s.waiting) != 0 {
			t.Errorf("%d still wait, want none", len(s.waiting))
		}
	})
}

func TestBasic_PasswordQueueIsBoundedAndSaysSo(t *testing.T) {
	h := newHouse(t, nil)
	g := newGuard(func() *Auth { return h.auth }, false)
	for range cap(g.bcrypts) {
		g.bcrypts <- struct{}{}
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	ctx, cancel := context.WithTimeout(r.Context(), time.Millisecond)
	defer cancel()
	r = r.WithContext(ctx)
	r.SetBasicAuth(opUser, opPass)
	if c, err := g.client(r); err == nil || c != nil {
		t.Errorf("got client %v, error %v, want errBusy", c, err)
	}
	for range cap(g.bcrypts) {
		<-g.bcrypts
	}
	r = httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.SetBasicAuth(opUser, opPass)
	for range 2 { // the second login is known and needs no hashing
		if c, err := g.client(r); err != nil || c == nil || c.Name != "oncall" {
			t.Errorf("got client %v, error %v, want oncall", c, err)
		}
	}
}

func FuzzGuard_NoHeaderPassesWithoutTheSecret(f *testing.F) {
	for _, s := range []string{"", "Bearer ", "Bearer " + amToken[:3], "Basic b25jYWxsOg==", "bearer x", "Bearer \x00"} {
		f.Add(s)
	}
	a := &Auth{Clients: []Client{{Name: "x", Roles: []Role{RoleAdmin}, BearerFile: "token"}}}
	a.SetDirectory("testdata")
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header.Set("Authorization", header)
		c, err := newGuard(func() *Auth { return a }, false).client(r)
		if err != nil || (c != nil && header != "Bearer a-long-and-secret-token") {
			t.Errorf("Authorization %q: got client %v, error %v", header, c, err)
		}
	})
}
