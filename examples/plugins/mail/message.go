package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// messageID is the same for every attempt at a notification.
func messageID(m sdk.Notification) string {
	return fmt.Sprintf("<%x@magpie.invalid>", sha256.Sum256([]byte(m.GroupKey+"\n"+m.IdempotencyKey)))
}

// message writes a mail of plain text, as RFC 5322 has it. What comes from alerts is encoded wherever it goes, so that a
// label cannot add a line to the header.
func (c *Config) message(w io.Writer, m sdk.Notification, id string) error {
	header := [][2]string{
		{"From", listed(c.From)},
		{"To", listed(c.To...)},
		{"Subject", mime.QEncoding.Encode("utf-8", strings.ToValidUTF8(m.Title, "�"))},
		{"Date", time.Now().UTC().Format(time.RFC1123Z)},
		{"Message-ID", id},
		{"Auto-Submitted", "auto-generated"}, // no answers of people on holiday (RFC 3834)
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	}
	if first := m.Previous.ID; first != "" && first != id {
		header = append(header, [2]string{"In-Reply-To", first}, [2]string{"References", first})
	}
	var text strings.Builder
	for _, h := range header {
		fmt.Fprintf(&text, "%s: %s\r\n", h[0], strings.ReplaceAll(h[1], "?= =?", "?=\r\n =?")) // no line is too long
	}
	text.WriteString("\r\n")
	body := quotedprintable.NewWriter(&text)
	io.WriteString(body, m.Text+"\n\n"+m.ExternalURL+"\n")
	if err := body.Close(); err != nil {
		return err
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// listed are addresses as a header has them, names encoded, a line for each.
func listed(all ...string) string {
	var out []string
	for _, text := range all {
		if a, err := mail.ParseAddress(text); err == nil {
			out = append(out, a.String())
		}
	}
	return strings.Join(out, ",\r\n ")
}
