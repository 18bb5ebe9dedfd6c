//! A port of this host that is kept for one server.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port of the loopback that the kernel gives to nobody else while this lives, however often its server is started.
///
/// It is bound and not listened on. Who sets `SO_REUSEADDR`, as servers do, may bind it too and listen; for those who
/// take any port, and for outgoing connections, it is taken (`inet_csk_find_open_port` in net/ipv4).
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    _bound: TcpSocket,
}

impl Port {
    /// Keeps a port that was free.
    ///
    /// # Errors
    /// When no port or no descriptor is left.
    pub fn keep() -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        Ok(Self {
            address: socket.local_addr()?,
            _bound: socket,
        })
    }

    /// Where its server is to listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.address.port()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_kept_port_is_free_for_its_server_and_refuses_until_it_listens() {
        let port = Port::keep().unwrap();
        assert!(TcpStream::connect(port.address()).is_err());
        for _ in 0..2 {
            let server = TcpListener::bind(port.address()).unwrap();
            TcpStream::connect(port.address()).unwrap();
            drop(server);
        }
    }

    #[test]
    fn a_kept_port_is_taken_for_everybody_else() {
        let kept = Port::keep().unwrap();
        let other = TcpSocket::new_v4().unwrap();
        let refused = other.bind(kept.address()).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
        let address = kept.address();
        drop(kept);
        other.bind(address).unwrap();
    }
}
