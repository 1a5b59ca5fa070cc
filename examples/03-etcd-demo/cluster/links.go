package cluster

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// links is the network between members: before each member's peer URL stands a proxy that reads from each request who sent it
// (X-Server-From), and lets it through unless the link between the two is cut.
type links struct {
	mu      sync.Mutex
	ids     map[uint64]int
	cut     map[link]bool
	passing map[*passage]bool
	servers map[int]*http.Server
}

// link is between two members, the lower first.
type link [2]int

func between(a, b int) link { return link{min(a, b), max(a, b)} }

// passage is a request on its way, often a stream that stays open.
type passage struct {
	link link
	stop context.CancelFunc
}

func newLinks() *links {
	return &links{ids: map[uint64]int{}, cut: map[link]bool{}, passing: map[*passage]bool{}, servers: map[int]*http.Server{}}
}

func (l *links) know(i int, id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids[id] = i
}

// open listens at member i's peer URL for what is for it.
func (l *links) open(i int, peer, behind string) error {
	listener, err := net.Listen("tcp", strings.TrimPrefix(peer, "http://"))
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: behind})
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1, // streams of small messages
		Transport:     &http.Transport{MaxIdleConnsPerHost: 8},
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // as a broken connection
	}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := context.WithCancel(r.Context())
		defer stop()
		p, ok := l.enter(r.Header.Get("X-Server-From"), i, stop)
		if !ok {
			panic(http.ErrAbortHandler)
		}
		defer l.leave(p)
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})}
	l.mu.Lock()
	l.servers[i] = server
	l.mu.Unlock()
	go server.Serve(listener)
	return nil
}

// close makes member i's peer URL refuse connections, as it does where no process listens.
func (l *links) close(i int) {
	l.mu.Lock()
	server := l.servers[i]
	delete(l.servers, i)
	l.mu.Unlock()
	if server != nil {
		server.Close()
	}
}

func (l *links) enter(from string, to int, stop context.CancelFunc) (*passage, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &passage{link{-1, -1}, stop}
	id, _ := strconv.ParseUint(from, 16, 64)
	if i, known := l.ids[id]; known {
		p.link = between(i, to)
	}
	if l.cut[p.link] {
		return nil, false
	}
	l.passing[p] = true
	return p, true
}

func (l *links) leave(p *passage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.passing, p)
}

// set cuts or mends links, and ends what passes over those that are cut.
func (l *links) set(cut bool, which ...link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range which {
		l.cut[k] = cut
	}
	for p := range l.passing {
		if l.cut[p.link] {
			p.stop()
		}
	}
}

// Cut ends all that goes between two members; Mend lets it pass again.
func (c *Cluster) Cut(a, b int)  { c.links.set(true, between(a, b)) }
func (c *Cluster) Mend(a, b int) { c.links.set(false, between(a, b)) }

// linksOf are all of a member's.
func (c *Cluster) linksOf(i int) (all []link) {
	for j := range c.members {
		if j != i {
			all = append(all, between(i, j))
		}
	}
	return all
}
