package probe

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Types of messages, of ICMP (RFC 792) and of ICMPv6 (RFC 4443).
const (
	echoReply4, unreachable4, echoRequest4, exceeded4, badParameter4 = 0, 3, 8, 11, 12
	unreachable6, tooBig6, exceeded6, badParameter6                  = 1, 2, 3, 4
	echoRequest6, echoReply6                                         = 128, 129
)

// Numbers in headers, and lengths of headers in bytes.
const (
	protocolICMP4, protocolICMP6, protocolFragment = 1, 58, 44
	header4, header6, headerFragment, headerICMP   = 20, 40, 8, 8
)

// echoRequest writes a whole echo request into message, which it gives. The
// first bytes of payload are those of token. The checksum of ICMPv6 is made by
// the kernel, which knows the addresses.
func echoRequest(message []byte, v6 bool, id, seq uint16, token [tokenSize]byte, payload []byte) []byte {
	message = append(append(message[:0], echoRequest4, 0, 0, 0, 0, 0, 0, 0), payload...)
	binary.BigEndian.PutUint16(message[4:], id)
	binary.BigEndian.PutUint16(message[6:], seq)
	copy(message[headerICMP:], token[:])
	if v6 {
		message[0] = echoRequest6
		return message
	}
	binary.BigEndian.PutUint16(message[2:], checksum(message))
	return message
}

// checksum is the Internet checksum (RFC 1071); over a message that carries its
// own it is 0.
func checksum(data []byte) uint16 {
	var sum uint32
	for ; len(data) >= 2; data = data[2:] {
		sum += uint32(data[0])<<8 | uint32(data[1])
		sum = sum&0xffff + sum>>16
	}
	if len(data) == 1 {
		sum += uint32(data[0]) << 8
	}
	return ^uint16(sum&0xffff + sum>>16)
}

// echoAnswer is what a message says about one echo request.
type echoAnswer struct {
	target  netip.Addr // who was asked: the sender of a reply, the quoted destination of an error
	id, seq uint16
	payload []byte // of a reply; what an error quotes of it
	err     error  // who could not deliver the request, and why; nil in a reply
}

// parse4 takes an IPv4 datagram of ICMP apart, as raw sockets give it, with the
// hop limit that it arrived with. What does not speak about an echo request is
// not ok, nor is what is damaged.
func parse4(datagram []byte) (e echoAnswer, hopLimit int, ok bool) {
	src, _, protocol, message, ok := split4(datagram)
	if !ok || protocol != protocolICMP4 || len(message) < headerICMP || checksum(message) != 0 {
		return echoAnswer{}, 0, false
	}
	hopLimit = int(datagram[8])
	if message[0] == echoReply4 {
		e, ok = parseReply(message, src, echoReply4)
		return e, hopLimit, ok
	}
	text, known := errors4(message)
	_, dst, protocol, request, ok := split4(message[headerICMP:])
	if !known || !ok || protocol != protocolICMP4 {
		return echoAnswer{}, 0, false
	}
	e, ok = quoted(request, dst, echoRequest4)
	e.err = fmt.Errorf("%s says: %s", src, text)
	return e, hopLimit, ok
}

// parse6 takes a message of ICMPv6 apart that came from src. Raw sockets give it
// without the header of IPv6, its checksum is proved by the kernel.
func parse6(message []byte, src netip.Addr) (e echoAnswer, ok bool) {
	if len(message) < headerICMP {
		return echoAnswer{}, false
	}
	if message[0] == echoReply6 {
		return parseReply(message, src, echoReply6)
	}
	text, known := errors6(message)
	dst, request, ok := split6(message[headerICMP:])
	if !known || !ok {
		return echoAnswer{}, false
	}
	e, ok = quoted(request, dst, echoRequest6)
	e.err = fmt.Errorf("%s says: %s", src, text)
	return e, ok
}

// parseReply reads an echo reply.
func parseReply(message []byte, src netip.Addr, kind byte) (echoAnswer, bool) {
	if len(message) < headerICMP || message[0] != kind || message[1] != 0 {
		return echoAnswer{}, false
	}
	return echoAnswer{
		target: src,
		id:     binary.BigEndian.Uint16(message[4:]), seq: binary.BigEndian.Uint16(message[6:]),
		payload: message[headerICMP:],
	}, true
}

// quoted reads the echo request that an error quotes. 8 bytes of it are quoted
// at least (RFC 792), mostly more.
func quoted(request []byte, dst netip.Addr, kind byte) (echoAnswer, bool) {
	return parseReply(request, dst, kind)
}

// split4 takes an IPv4 datagram apart that may be cut at its end. Of fragments
// only the first has the header that counts.
func split4(datagram []byte) (src, dst netip.Addr, protocol byte, payload []byte, ok bool) {
	if len(datagram) < header4 || datagram[0]>>4 != 4 {
		return src, dst, 0, nil, false
	}
	length := int(datagram[0]&0xf) * 4
	offset := binary.BigEndian.Uint16(datagram[6:]) & 0x1fff
	if length < header4 || length > len(datagram) || offset != 0 {
		return src, dst, 0, nil, false
	}
	// A quote may be padded beyond its datagram (RFC 4884, section 5).
	if total := int(binary.BigEndian.Uint16(datagram[2:])); total >= length && total < len(datagram) {
		datagram = datagram[:total]
	}
	src, dst = netip.AddrFrom4([4]byte(datagram[12:16])), netip.AddrFrom4([4]byte(datagram[16:20]))
	return src, dst, datagram[9], datagram[length:], true
}

// split6 gives the destination and the ICMPv6 message of a quoted IPv6
// datagram. Our own have no header between but that of fragments.
func split6(datagram []byte) (dst netip.Addr, message []byte, ok bool) {
	if len(datagram) < header6 || datagram[0]>>4 != 6 {
		return dst, nil, false
	}
	dst, next, message := netip.AddrFrom16([16]byte(datagram[24:40])), datagram[6], datagram[header6:]
	if total := int(binary.BigEndian.Uint16(datagram[4:])); total < len(message) {
		message = message[:total]
	}
	if next == protocolFragment {
		if len(message) < headerFragment || binary.BigEndian.Uint16(message[2:])&0xfff8 != 0 {
			return dst, nil, false
		}
		next, message = message[0], message[headerFragment:]
	}
	return dst, message, next == protocolICMP6
}

// errors4 says in words what an error of ICMP means; it is not known when it is
// none that ends the way of a request.
func errors4(message []byte) (text string, known bool) {
	code := message[1]
	switch message[0] {
	case unreachable4:
		return unreachableText4(code, binary.BigEndian.Uint16(message[6:])), true
	case exceeded4:
		return exceededText(code), true
	case badParameter4:
		return fmt.Sprintf("parameter problem (code %d)", code), true
	}
	return "", false
}

// unreachableText4 names the codes of RFC 792 and RFC 1812 that are met. mtu is
// given by code 4 alone (RFC 1191).
func unreachableText4(code byte, mtu uint16) string {
	texts := map[byte]string{
		0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
		9: "network prohibited", 10: "host prohibited", 13: "communication prohibited",
	}
	if text, ok := texts[code]; ok {
		return text
	}
	if code == 4 {
		return fmt.Sprintf("the packet is too big for an MTU of %d and must not be fragmented", mtu)
	}
	return fmt.Sprintf("destination unreachable (code %d)", code)
}

// errors6 is errors4 for ICMPv6.
func errors6(message []byte) (text string, known bool) {
	code := message[1]
	switch message[0] {
	case unreachable6:
		texts := map[byte]string{0: "no route to destination", 1: "communication prohibited", 3: "address unreachable", 4: "port unreachable", 5: "source address refused", 6: "route refused"}
		if text, ok := texts[code]; ok {
			return text, true
		}
		return fmt.Sprintf("destination unreachable (code %d)", code), true
	case tooBig6:
		return fmt.Sprintf("the packet is too big for an MTU of %d", binary.BigEndian.Uint32(message[4:])), true
	case exceeded6:
		return exceededText(code), true
	case badParameter6:
		return fmt.Sprintf("parameter problem (code %d)", code), true
	}
	return "", false
}

// exceededText names the codes of time exceeded, the same in both families.
func exceededText(code byte) string {
	if code == 0 {
		return "the hop limit was used up on the way"
	}
	return "fragments were lost on the way"
}
