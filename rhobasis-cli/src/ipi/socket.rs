//! Sockets on which servers wait: they are waited for, may fall silent or vanish, and never hold a user who wants no more.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rhobasis::Error;
use socket2::{SockRef, TcpKeepalive};

use crate::interrupt;
use crate::text::tell;

/// Time between two looks at what the user wants.
const TICK: Duration = Duration::from_millis(100);
/// How long a server may take for the rest of a message, or to take one.
const PATIENCE: Duration = Duration::from_secs(30);
/// A host that has been silent for so long is asked whether it is still there, so often.
const KEEPALIVE: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(15)];
/// What a user is left waiting without a word.
const WORDLESS: Duration = Duration::from_secs(2);

/// Why a conversation ends before the server ends it.
#[derive(Debug)]
pub enum Stop {
    /// The user wants no more.
    Interrupted,
    /// The server is gone, or silent in the middle of a message.
    Lost(String),
    /// What it says cannot be understood, or not be evaluated.
    Refused(Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Stop::Refused(e)
    }
}

/// Where a server waits.
#[derive(Debug, Clone)]
pub enum Address {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "{}", path.display()),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Address {
    /// Connects, as soon as there is a server, until `deadline`.
    pub fn connect(&self, deadline: Instant) -> Result<Socket, Stop> {
        let (start, mut told) = (Instant::now(), false);
        loop {
            let failure = match self.try_to_connect(deadline) {
                Ok(stream) => return Ok(Socket { stream, address: self.clone() }),
                Err(failure) => failure,
            };
            if interrupt::pending() {
                return Err(Stop::Interrupted);
            }
            if Instant::now() >= deadline {
                let waited = start.elapsed().as_secs_f64();
                let problem = format!("no server within {waited:.1} s: {failure}");
                return Err(Error::file(self.to_string(), problem, self.remedy()).into());
            }
            if !told && start.elapsed() > WORDLESS {
                tell(format!("note: waiting for a server at {self}"));
                told = true;
            }
            sleep(TICK);
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Address::Unix(_) => {
                "start i-PI on this machine, name its <address> (and --sockets-prefix), or wait longer with --wait"
            }
            Address::Tcp { .. } => "start i-PI, name its <address> and <port>, or wait longer with --wait",
        }
    }

    fn try_to_connect(&self, deadline: Instant) -> io::Result<Stream> {
        match self {
            #[cfg(unix)]
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(TICK))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Stream::Unix(stream))
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no UNIX sockets")),
            Address::Tcp { host, port } => {
                let left = deadline.saturating_duration_since(Instant::now()).clamp(TICK, PATIENCE);
                let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, left) {
                        Ok(stream) => return of_tcp(stream),
                        Err(e) => failure = e,
                    }
                }
                Err(failure)
            }
        }
    }
}

/// Small messages go at once, and a host that is gone is noticed.
fn of_tcp(stream: TcpStream) -> io::Result<Stream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let [after, every] = KEEPALIVE;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(after).with_interval(every))?;
    Ok(Stream::Tcp(stream))
}

#[derive(Debug)]
enum Stream {
    #[cfg(unix)]
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Stream::Unix(stream) => stream.read(bytes),
            Stream::Tcp(stream) => stream.read(bytes),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            #[cfg(unix)]
            Stream::Unix(stream) => stream.write_all(bytes),
            Stream::Tcp(stream) => stream.write_all(bytes),
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    address: Address,
}

impl Socket {
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for a message, for ever, and reads its first bytes.
    pub fn wait_for(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        self.read(bytes, None)
    }

    /// Reads what has to follow.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        self.read(bytes, Some(Instant::now() + PATIENCE))
    }

    fn read(&mut self, bytes: &mut [u8], mut deadline: Option<Instant>) -> Result<(), Stop> {
        let mut done = 0;
        while done < bytes.len() {
            if interrupt::pending() {
                return Err(Stop::Interrupted);
            }
            match self.stream.read(&mut bytes[done..]) {
                Ok(0) => return Err(Stop::Lost(CLOSED.into())),
                Ok(n) => {
                    done += n;
                    deadline = Some(Instant::now() + PATIENCE);
                }
                Err(e) if is_no_matter(&e) => {
                    if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                        let patience = PATIENCE.as_secs();
                        return Err(Stop::Lost(format!(
                            "the server stopped in the middle of a message, {done} of {} bytes, for {patience} s",
                            bytes.len()
                        )));
                    }
                }
                Err(e) => return Err(broken(&e)),
            }
        }
        Ok(())
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.stream.write_all(bytes).map_err(|e| broken(&e))
    }
}

const CLOSED: &str = "the server closed the connection without EXIT";

/// Whether the end is read, written to, or has left something unread, it is the same end.
fn broken(e: &io::Error) -> Stop {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match e.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset => Stop::Lost(CLOSED.into()),
        _ if is_no_matter(e) => Stop::Lost(format!("the server has taken no answer for {} s", PATIENCE.as_secs())),
        _ => Stop::Lost(format!("the connection broke: {e}")),
    }
}

/// Nothing has come yet.
fn is_no_matter(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
