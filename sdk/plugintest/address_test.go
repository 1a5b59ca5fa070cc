package plugintest

import (
	"net"
	"strconv"
	"testing"
)

func TestAFreeAddressIsGivenToOneTestOnly(t *testing.T) {
	given := map[string]bool{}
	for range 500 {
		address := FreeAddress(t)
		if given[address] {
			t.Fatalf("%s was given twice", address)
		}
		given[address] = true
		if _, port, _ := net.SplitHostPort(address); port >= strconv.Itoa(firstChosenBySystem()) || len(port) != 5 {
			t.Errorf("%s may be given to a connection that goes out", address)
		}
	}
	for address := range given {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("%s is not free: %v", address, err)
			continue
		}
		l.Close()
	}
}

func TestAnAddressIsGivenBackWithItsTest(t *testing.T) {
	for range 3 { // another test may have had the same luck in the meantime
		var address string
		t.Run("has it", func(t *testing.T) { address = FreeAddress(t) })
		_, port, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(port)
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(n+1)); err == nil {
			l.Close()
			return
		}
	}
	t.Error("the ports of its owner are still taken")
}
