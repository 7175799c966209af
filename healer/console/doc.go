// Package console is the face of heal-receiver: the webhook, the REST API and
// who may use them (HEALING 3 and 14). It is given a healer and the journal to
// read; it gives an http.Handler. It decides nothing about incidents.
package console
