package probe

import (
	"fmt"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// filter keeps what is not for this socket away from it: a raw socket would
// else be woken by all messages of ICMP that the machine receives. What comes
// between the opening and this is told apart like all others, by its content.
func (s *socket) filter(fd int) error {
	if !s.raw {
		return nil // the kernel brings it what bears its id alone
	}
	program := filter4(s.id)
	if s.v6 {
		program = filter6(s.id)
	}
	if s.deaf {
		program = []bpf.Instruction{bpf.RetConstant{Val: 0}}
	}
	assembled, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("socket filter: %w", err)
	}
	code := make([]unix.SockFilter, len(assembled))
	for i, in := range assembled {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
	if err != nil {
		return fmt.Errorf("socket filter: %w", os.NewSyscallError("setsockopt", err))
	}
	return nil
}

// wholeMessage is the length of what a filter lets through: all of it.
const wholeMessage = 1<<32 - 1

// filter4 lets through the datagrams of echo replies with an id and of errors
// that quote ICMP with it. Offsets are from the header of IPv4, and in X stands
// the length of those headers that came before.
func filter4(id uint16) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 0, Size: 1}, // type
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: echoReply4, SkipTrue: 9},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: echoRequest4, SkipTrue: 11},
		// Of the others, those that quote nothing do not quote ICMP with the id.
		bpf.LoadIndirect{Off: headerICMP + 9, Size: 1}, // quoted protocol
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMP4, SkipTrue: 9},
		bpf.LoadIndirect{Off: headerICMP, Size: 1}, // quoted length of the header
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: headerICMP},
		bpf.TAX{},
		bpf.LoadIndirect{Off: 4, Size: 2}, // id
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(id), SkipTrue: 1},
		bpf.RetConstant{Val: wholeMessage},
		bpf.RetConstant{Val: 0},
	}
}

// filter6 is filter4 for ICMPv6, whose messages come without the header of
// IPv6. An error that quotes a fragment is let through unseen.
func filter6(id uint16) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1}, // type
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: echoReply6, SkipTrue: 6},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: 128, SkipTrue: 8}, // no error
		bpf.LoadAbsolute{Off: headerICMP + 6, Size: 1},                  // quoted next header
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolFragment, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMP6, SkipTrue: 5},
		bpf.LoadAbsolute{Off: headerICMP + header6 + 4, Size: 2}, // quoted id
		bpf.Jump{Skip: 1},
		bpf.LoadAbsolute{Off: 4, Size: 2}, // id
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(id), SkipTrue: 1},
		bpf.RetConstant{Val: wholeMessage},
		bpf.RetConstant{Val: 0},
	}
}
