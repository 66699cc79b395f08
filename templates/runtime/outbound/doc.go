// Package outbound makes the clients by which an operator calls other services.
//
// A client has a budget for each call, whatever its caller's context allows: for
// all attempts together and for each of them. It repeats what is safe to repeat
// and worth it, as budget.Operation does, limits its connections and the size of
// answers, sends the trace context along, and its errors unwrap to what ended
// the call, over HTTP/1.1, HTTP/2 and gRPC alike.
//
// [HTTP] makes an ordinary http.Client. Its answers have arrived whole when they
// are handed over, so that an attempt lasts until its last byte, and one that is
// cut short is repeated as well; it is not for streams. [Dial] makes an ordinary
// grpc.ClientConn.
//
// What changes something at the other end can be tied to a leadership term by
// Settings.Join.
package outbound
