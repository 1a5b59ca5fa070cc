package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// startCheck is made first: without it there is nothing to check.
var startCheck = check{
	name: "start/handshake", about: "it starts, says where it serves, and answers Describe",
	fix: "print one line on stdout once the server listens, 1|1|unix|PATH|grpc|, on a socket in $PLUGIN_UNIX_SOCKET_DIR; in Go, main calls serve.Main and nothing before it may fail",
}

var startChecks = []check{
	{"start/by-hand", "started by a person it says what it is, and ends",
		"when the environment lacks the cookie MAGPIE_PLUGIN, print a sentence on stderr and exit with a code other than 0", byHand},
	{"start/interrupt", "Ctrl-C on the terminal, which is for the daemon, does not end it",
		"ignore SIGINT: the daemon ends its plugins in order", interrupted},
	{"start/side-by-side", "two processes of it run side by side, as when one takes the other's place",
		"hold nothing exclusively before Open: no port, no lock, no file of a fixed name", sideBySide},
	{"start/environment", "it starts with an empty environment",
		"take settings from the configuration: HOME, PATH and the rest are not there", func(*session) error { return nil }},
	{"wire/unknown-call", "a call of a later contract is answered with Unimplemented",
		"leave unknown methods to the gRPC server", unknownCall},
	{"wire/unknown-field", "a field of a later contract is ignored",
		"use a protobuf library that skips unknown fields", unknownField},
	{"wire/too-large", "a message beyond 4 MiB is refused, and the process goes on",
		"limit received messages to 4 MiB", tooLarge},
	{"wire/concurrent", "many calls at the same time are all answered",
		"serve calls side by side, without a lock around what waits", concurrently},
	{"end/shutdown", "asked to end, it is gone within 2 s, with exit code 0",
		"on plugin.GRPCController/Shutdown stop the server and return from main", endsWhenAsked},
}

// byHand runs the binary without what a daemon sets.
func byHand(s *session) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.patient(5*time.Second))
	defer cancel()
	cmd := exec.CommandContext(ctx, s.o.Binary)
	cmd.Env, cmd.Dir = []string{}, s.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return errors.New("it does not end: a person who starts it by mistake sees nothing")
	case err == nil:
		return errors.New("it ends with exit code 0, as if it had done something")
	case !errors.As(err, &exit):
		return err
	case strings.TrimSpace(out.String()) == "":
		return errors.New("it ends without a word")
	}
	return nil
}

func interrupted(s *session) error {
	if err := syscall.Kill(s.process.Pid, syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-s.process.Exited():
		s.killed = true
		return errors.New("it ended on SIGINT")
	case <-time.After(200 * time.Millisecond):
	}
	_, err := s.health()
	return err
}

func sideBySide(s *session) error {
	other, err := s.start()
	if err != nil {
		return fmt.Errorf("while one runs, a second one does not start: %w", err)
	}
	defer other.Kill()
	if _, err := other.Describe(s.ctx); err != nil {
		return fmt.Errorf("the second one does not answer: %w", err)
	}
	_, err = s.health()
	return err
}

func unknownCall(s *session) error {
	err := s.process.Connection().Invoke(s.ctx, "/magpie.v1.Plugin/Foresee", &wire.DescribeRequest{}, &wire.Description{})
	if status.Code(err) != codes.Unimplemented {
		return fmt.Errorf("the answer to a method that is not there yet is: %v", s.cause(err))
	}
	_, err = s.health()
	return err
}

func unknownField(s *session) error {
	r := &wire.DescribeRequest{}
	r.ProtoReflect().SetUnknown([]byte{0xaa, 0x3f, 3, 'n', 'e', 'w'}) // field 1013
	d, err := s.rpc.Describe(s.ctx, r)
	if err != nil {
		return s.cause(err)
	}
	if d.Name != s.desc.Name {
		return errors.New("its Describe answers something else when asked with a field that it does not know")
	}
	return nil
}

func tooLarge(s *session) error {
	text := strings.Repeat("x", 6<<20)
	_, err := s.rpc.Validate(s.ctx, &wire.ConfigRequest{Kind: "source", Type: text})
	if err == nil {
		return errors.New("a message of 6 MiB was taken")
	}
	_, err = s.health()
	return err
}

func concurrently(s *session) error {
	var wg sync.WaitGroup
	wrong := make(chan error, 64)
	for range 16 {
		wg.Go(func() {
			if _, err := s.rpc.Describe(s.ctx, &wire.DescribeRequest{}); err != nil {
				wrong <- err
			}
			if _, err := s.health(); err != nil {
				wrong <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-wrong:
		return err
	default:
		return nil
	}
}

// endsWhenAsked asks itself, and not with Stop: that kills after 2 s, however busy the machine is.
func endsWhenAsked(s *session) error {
	limit := s.patient(2 * time.Second)
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	s.killed = true
	s.process.Connection().Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{}) // its end may come before its answer
	select {
	case <-s.process.Exited():
	case <-ctx.Done():
		s.process.Kill()
		return fmt.Errorf("it did not end within %s", limit)
	}
	if err := s.process.Status(); err != nil {
		return fmt.Errorf("it did not end by itself with code 0, but: %v", err)
	}
	return nil
}

// saidChecks look back at what was said in all of the above.
var saidChecks = []check{
	{"said/stdout", "nothing but the handshake was printed on stdout",
		"stdout belongs to the handshake: log with host.Log(), or print on stderr", func(s *session) error {
			if len(s.stray) == 0 {
				return nil
			}
			return fmt.Errorf("it printed %q", s.stray[0])
		}},
	{"said/secrets", "no secret of its configuration was printed, logged, answered or sent",
		"keep secrets in sdk.Secret and out of errors: what a target answers may repeat them, and an error of net/http names the URL", func(s *session) error {
			if len(s.leaks) > 0 {
				return fmt.Errorf("a secret of the example was seen in %s", strings.Join(s.leaks, "\n"))
			}
			return secretsTried(s)
		}},
	{"said/panics", "nothing panicked",
		"the stack is in the log, under the name of the component", func(s *session) error {
			if len(s.panics) > 0 {
				return errors.New(strings.Join(s.panics, "\n"))
			}
			return nil
		}},
}

// secretsTried says of which attributes it is not known.
func secretsTried(s *session) error {
	var missed []string
	for _, t := range s.types {
		for _, name := range sensitive(t.Config) {
			if tried, known := s.planted[t.Name+"."+name]; known && !tried {
				missed = append(missed, name)
			}
		}
	}
	switch {
	case len(s.planted) == 0:
		return skip("no secret in the example")
	case len(missed) > 0:
		return remark("not tried, as the example does not set them: %s", strings.Join(missed, ", "))
	}
	return nil
}
