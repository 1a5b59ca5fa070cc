package main

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// shortest is the length from which a text can be a secret that is worth hiding: hiding "1" or "json" only garbles errors.
const shortest = 6

// redaction hides what the configuration knows as secret, or what may be: an answer can repeat what was sent.
func redaction(cfg *Config, u *url.URL) *strings.Replacer {
	secrets := []string{cfg.URL.Reveal(), u.RequestURI(), u.RawQuery, cfg.BearerToken.Reveal()}
	for _, path := range []string{u.EscapedPath(), u.Path} {
		secrets = append(append(secrets, path), strings.Split(path, "/")...)
	}
	for _, values := range u.Query() {
		secrets = append(secrets, values...)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		secrets = append(secrets, u.User.String(), u.User.Username(), password, basic(u.User.Username(), password))
	}
	if b := cfg.BasicAuth; b != nil {
		secrets = append(secrets, b.Password.Reveal(), basic(b.Username, b.Password.Reveal()))
	}
	for _, value := range cfg.Headers {
		secrets = append(secrets, value)
	}
	// The replacer tries them in order: the longest first, so that no part of one is left standing.
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, s := range secrets {
		if len(s) >= shortest {
			pairs = append(pairs, s, "(sensitive)")
		}
	}
	return strings.NewReplacer(pairs...)
}

// basic is what a user and a password are in an Authorization header.
func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}
