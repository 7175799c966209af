package promapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/onefiveten/onefiveten/promapi"
)

// The members of a service are asked for: one series each, 1 or 0.
func ExampleClient_Query() {
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[
			{"metric":{"node":"web1"},"value":[1795225504.724,"1"]},
			{"metric":{"node":"web2"},"value":[1795225504.724,"0"]}]}}`)
	}))
	defer prometheus.Close()

	client, err := promapi.New(promapi.Settings{Name: "main", URL: prometheus.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	members, err := client.Query(context.Background(), `min by (node) (up{job="web"})`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range members {
		fmt.Println(m.Labels["node"], m.Value, m.At.UTC().Format("15:04:05.000"))
	}
	// Output:
	// web1 1 01:45:04.724
	// web2 0 01:45:04.724
}

// A Prometheus that is partly away gives no answer at all.
func ExampleClient_Query_partial() {
	thanos := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["store eu-1: unavailable"]}`)
	}))
	defer thanos.Close()

	client, err := promapi.New(promapi.Settings{Name: "thanos", URL: thanos.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Query(context.Background(), `up{job="web"}`)
	fmt.Println(err)
	// Output:
	// asking thanos for up{job="web"}: the answer is not whole: store eu-1: unavailable
}

// The pause before a choice is at least the interval of the groups that hold
// the triggers.
func ExampleClient_RuleGroups() {
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"status":"success","data":{"groups":[
			{"name":"onefiveten-web","file":"rules.yml","interval":5,"rules":[{"name":"FaultLocated","type":"alerting"}]}]}}`)
	}))
	defer prometheus.Close()

	client, err := promapi.New(promapi.Settings{Name: "main", URL: prometheus.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	groups, err := client.RuleGroups(context.Background())
	fmt.Println(groups, err)
	// Output:
	// [{rules.yml onefiveten-web 5s [FaultLocated]}] <nil>
}
