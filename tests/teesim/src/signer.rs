//! The host's end of the signer port: requests come in one by one and are answered in order.

use crate::processor::Processor;
use crate::wire::{self, Request, WireError};
use std::io::{Read, Write};

/// Serve one machine until its end of the port is closed, or says something that is no request.
pub fn serve(stream: &mut (impl Read + Write), processor: &mut Processor) -> Result<(), WireError> {
    loop {
        let request: Request = match wire::receive(stream) {
            Ok(request) => request,
            Err(WireError::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        wire::send(stream, &processor.answer(&request))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Answer;
    use sealpod_evidence::bytes::HexArray;
    use std::os::unix::net::UnixStream;
    use std::thread;

    fn served() -> (UnixStream, thread::JoinHandle<Result<(), WireError>>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || {
            serve(&mut theirs, &mut Processor::new([1; 48], [2; 32], 0x30000, [3; 32]))
        });
        (ours, server)
    }

    #[test]
    fn requests_are_answered_in_order_until_the_port_closes() {
        let (mut port, server) = served();
        wire::send(&mut port, &Request::Boot { ek_public: None }).unwrap();
        wire::send(&mut port, &Request::Report { vmpl: 0, report_data: HexArray([4; 64]) }).unwrap();
        assert_eq!(wire::receive::<Answer>(&mut port).unwrap(), Answer::Booted { vmpl: 0, svsm: false });
        assert!(matches!(wire::receive::<Answer>(&mut port).unwrap(), Answer::Report { .. }));
        drop(port);
        server.join().unwrap().unwrap();
    }

    #[test]
    fn a_hostile_frame_ends_the_service() {
        for bytes in [&[0xff; 8][..], b"\x02\0\0\0{}", b"\x04\0\0\0null"] {
            let (mut port, server) = served();
            port.write_all(bytes).unwrap();
            assert!(server.join().unwrap().is_err());
        }
    }
}
