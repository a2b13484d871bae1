//! Stands in for the crate of this name in the test suite of zookeeper-client, which takes it from a git repository: a
//! container of the image `zookeeper` is a process, `$ZOOKEEPER_BIN_PATH/zkServer.sh start-foreground FILE`.
//!
//! What the image does is done here: a zoo.cfg if none is mounted, SERVER_JVMFLAGS, and a start that waits until the
//! server answers. A mounted file stays where it is; the configuration names that place.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);
/// What the entry point of the image writes.
const STOCK: &str = "dataDir=/data\nclientPort=2181\ntickTime=2000\ninitLimit=5\nsyncLimit=2\nmaxClientCnxns=60\n";

static STARTED: AtomicU32 = AtomicU32::new(0);

pub mod clients {
    pub use crate::Cli;
}

pub mod core {
    pub use crate::{Container, Healthcheck, LogStream, RunnableImage, WaitFor};
}

pub mod images {
    pub mod generic {
        pub use crate::GenericImage;
    }
}

/// When a container counts as started is decided here (`Server::wait`).
#[derive(Default)]
pub struct Healthcheck;

impl Healthcheck {
    pub fn with_cmd<'a>(self, _: impl Iterator<Item = &'a &'a str>) -> Self {
        self
    }

    pub fn with_interval(self, _: Duration) -> Self {
        self
    }

    pub fn with_retries(self, _: u32) -> Self {
        self
    }
}

pub enum WaitFor {
    Healthcheck,
}

#[derive(Default)]
pub struct GenericImage {
    variables: HashMap<String, String>,
}

impl GenericImage {
    pub fn new(_: &str, _: &str) -> Self {
        Self::default()
    }

    pub fn with_env_var(mut self, name: &str, value: String) -> Self {
        self.variables.insert(name.to_string(), value);
        self
    }

    pub fn with_healthcheck(self, _: Healthcheck) -> Self {
        self
    }

    pub fn with_wait_for(self, _: WaitFor) -> Self {
        self
    }
}

/// What is to be started: variables, mounted paths as (here, in the container), and whose network it has.
pub struct RunnableImage<I> {
    image: I,
    volumes: Vec<(String, String)>,
    on_host_network: bool,
}

impl From<GenericImage> for RunnableImage<GenericImage> {
    fn from(image: GenericImage) -> Self {
        Self { image, volumes: vec![], on_host_network: false }
    }
}

impl<I> RunnableImage<I> {
    pub fn with_volume(mut self, volume: (&str, &str)) -> Self {
        self.volumes.push((volume.0.to_string(), volume.1.to_string()));
        self
    }

    pub fn with_network(mut self, name: &str) -> Self {
        self.on_host_network = name == "host";
        self
    }
}

#[derive(Default)]
pub struct Cli;

impl Cli {
    pub fn run(&self, image: impl Into<RunnableImage<GenericImage>>) -> Container<'_, GenericImage> {
        Container { server: Server::new(image.into()), _image: PhantomData }
    }
}

pub struct Container<'d, I> {
    server: Server,
    _image: PhantomData<(&'d (), I)>,
}

impl<I> Container<'_, I> {
    pub fn stop(&self) {
        self.server.stop();
    }

    pub fn start(&self) {
        self.server.start();
    }

    pub fn get_host_port(&self, _: u16) -> u16 {
        self.server.port
    }

    pub fn stdout(&self) -> LogStream {
        LogStream { log: self.server.log(), port: self.server.port }
    }
}

pub struct LogStream {
    log: PathBuf,
    port: u16,
}

impl LogStream {
    /// Waits until the server has said it; pyzk's says it in other words, and shows it to a four-letter word.
    pub fn wait_for_message(&self, message: &str) -> Result<(), String> {
        let read_only = message == "Read-only server started";
        let said = || fs::read_to_string(&self.log).is_ok_and(|text| text.contains(message));
        wait_until(message, || said() || (read_only && ask(self.port, "isro") == "ro"))
    }
}

struct Server {
    folder: PathBuf,
    port: u16,
    is_secure: bool,
    flags: String,
    process: Arc<Mutex<Option<Child>>>,
}

impl Server {
    fn new(image: RunnableImage<GenericImage>) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("container-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("data")).unwrap();
        let mounted = image.volumes.iter().find(|(_, inside)| inside == "/conf/zoo.cfg");
        let mut text = mounted.map_or(STOCK.to_string(), |(here, _)| fs::read_to_string(here).unwrap());
        let mut flags = image.image.variables.get("SERVER_JVMFLAGS").cloned().unwrap_or_default();
        let own_data = folder.join("data").to_str().unwrap().to_string();
        let mut places = image.volumes.clone();
        if !places.iter().any(|(_, inside)| inside == "/data") {
            places.push((own_data, "/data".to_string()));
        }
        for (here, inside) in &places {
            text = text.replace(&format!("={inside}\n"), &format!("={here}\n"));
            flags = flags.replace(&format!("={inside}"), &format!("={here}"));
        }
        let (port, is_secure) = match image.on_host_network {
            true => (port_of_member(&text, &places), false),
            false => (free_port(), text.contains("secureClientPort=")),
        };
        text = text.replace("lientPort=2181\n", &format!("lientPort={port}\n"));
        text += "admin.enableServer=false\n";
        fs::write(folder.join("zoo.cfg"), text).unwrap();
        let server = Self { folder, port, is_secure, flags, process: Arc::default() };
        server.start();
        server
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    fn start(&self) {
        let program = Path::new(&std::env::var("ZOOKEEPER_BIN_PATH").unwrap()).join("zkServer.sh");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let child = Command::new(program)
            .arg("start-foreground")
            .arg(self.folder.join("zoo.cfg"))
            .env("SERVER_JVMFLAGS", &self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.process.lock().unwrap() = Some(child);
        self.wait();
    }

    /// As the image's check of health does: until the server serves; behind TLS, until it listens.
    fn wait(&self) {
        let serves = || match self.is_secure {
            true => TcpStream::connect(("127.0.0.1", self.port)).is_ok(),
            false => ask(self.port, "srvr").contains("Mode: "),
        };
        let log = self.log().display().to_string();
        wait_until(&format!("a server on {}, log {log}", self.port), serves).unwrap();
    }

    fn stop(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            Command::new("kill").arg(child.id().to_string()).status().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The client port behind the own server line; which one that is says `myid`.
fn port_of_member(text: &str, places: &[(String, String)]) -> u16 {
    let data = &places.iter().find(|(_, inside)| inside == "/data").unwrap().0;
    let id = fs::read_to_string(Path::new(data).join("myid")).unwrap();
    let start = format!("server.{}=", id.trim());
    let line = text.lines().find(|line| line.starts_with(&start)).unwrap();
    line.rsplit(':').next().unwrap().parse().unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The answer to a four-letter word; empty when nobody answers.
fn ask(port: u16, word: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = stream.write_all(word.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    }
    answer
}

fn wait_until(what: &str, condition: impl Fn() -> bool) -> Result<(), String> {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > PATIENCE {
            return Err(format!("not within {PATIENCE:?}: {what}"));
        }
        thread::sleep(POLL);
    }
    Ok(())
}
