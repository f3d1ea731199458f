//! A server on a port of this machine: HTTP/1.1, plain or over TLS, a thread for each connection.
//!
//! Threads, because they sleep more exactly than Tokio, whose clock counts whole milliseconds.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server. It ends with this value; connections that are there then end by themselves.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    is_tls: bool,
    connections: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

/// A request.
#[derive(Debug)]
pub struct Request {
    /// `POST`
    pub method: String,
    /// Path and query.
    pub target: String,
    /// All of them.
    pub headers: HeaderMap,
    /// All of it.
    pub body: Vec<u8>,
}

/// What it is answered.
#[derive(Debug)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    /// Beside `content-length`.
    pub headers: Vec<(&'static str, String)>,
    /// All of it.
    pub body: Bytes,
}

/// Up to this size, head and body are written in one piece, so that the reader wakes up once; in bytes.
const ONE_PIECE_BYTES_MAX: usize = 1 << 16;

impl Request {
    /// The text of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Server {
    /// Serves any number of connections at once, each until one side ends it, or `answer` has none for a request. With a
    /// configuration of TLS, it speaks that.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let (is_tls, answer, counted) = (tls.is_some(), Arc::new(answer), Arc::clone(&connections));
        let ends = Arc::clone(&is_over);
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let (tls, answer) = (tls.clone(), Arc::clone(&answer));
                // A connection that breaks is made again by whoever needs it.
                std::thread::spawn(move || serve(stream, tls, &*answer));
            }
        });
        Ok(Server { address, is_tls, connections, is_over })
    }

    /// Its address for a client.
    pub fn url(&self) -> String {
        let (scheme, port) = (if self.is_tls { "https" } else { "http" }, self.address.port());
        format!("{scheme}://localhost:{port}")
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // So that the one who waits for connections sees it.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    answer: &impl Fn(Request) -> Option<Answer>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        Some(tls) => {
            let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
            answer_all(StreamOwned::new(connection, stream), answer)
        }
        None => answer_all(stream, answer),
    }
}

fn answer_all(stream: impl Read + Write, answer: &impl Fn(Request) -> Option<Answer>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    while let Some(request) = read(&mut reader)? {
        let Some(Answer { status, headers, body }) = answer(request) else { break };
        let mut bytes = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n", body.len()).into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        let writer = reader.get_mut();
        if body.len() <= ONE_PIECE_BYTES_MAX {
            bytes.extend_from_slice(&body);
            writer.write_all(&bytes)?;
        } else {
            writer.write_all(&bytes)?;
            writer.write_all(&body)?;
        }
        writer.flush()?;
    }
    Ok(())
}

/// The next request; `None` at the connection's end.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.trim()));
        headers.append(name.map_err(io::Error::other)?, value.map_err(io::Error::other)?);
    }
    let length = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { method, target, headers, body }))
}
