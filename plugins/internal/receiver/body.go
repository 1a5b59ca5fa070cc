package receiver

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Refusal is a request that is not taken, and the status that says so.
type Refusal struct {
	Status int
	text   string
}

func (r *Refusal) Error() string { return r.text }

// Refuse makes a Refusal.
func Refuse(status int, format string, args ...any) error {
	return &Refusal{status, fmt.Sprintf(format, args...)}
}

// Body reads a request of at most limit bytes, which can be compressed with gzip: of a bomb it reads no more than that, too.
func Body(r *http.Request, limit int64) ([]byte, error) {
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return ReadAll(nil, r.Body, limit)
	case "gzip":
		most := limit + limit/1000 + 1<<10 // what cannot be compressed grows a little
		unzipped, err := gzip.NewReader(io.LimitReader(r.Body, most))
		if err != nil {
			return nil, Refuse(http.StatusBadRequest, "the request is no gzip: %v", err)
		}
		return ReadAll(nil, unzipped, limit)
	default:
		return nil, Refuse(http.StatusUnsupportedMediaType, "Content-Encoding %.100q is not known here: use gzip or none", encoding)
	}
}

// ReadAll appends to into what comes, at most limit bytes. The memory grows with what comes, not with what a header says.
func ReadAll(into []byte, from io.Reader, limit int64) ([]byte, error) {
	for {
		if len(into) == cap(into) {
			into = slices.Grow(into, 512)
		}
		n, err := from.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		var slow net.Error
		switch {
		case int64(len(into)) > limit:
			return into, Refuse(http.StatusRequestEntityTooLarge, "the request is larger than %s", sdk.Bytes(limit))
		case err == io.EOF:
			return into, nil
		case errors.As(err, &slow) && slow.Timeout():
			return into, Refuse(http.StatusRequestTimeout, "the request did not arrive in time: %v", err)
		case err != nil:
			return into, Refuse(http.StatusBadRequest, "the request did not arrive whole: %v", err)
		}
	}
}
