//! Where the keys of S3 come from: the environment, a profile, a web identity. Each is shown by an
//! application that keeps its checkpoints and its output there; the key service of the web
//! identity is the test's own, since MinIO has none without an identity provider.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Builder;

use thalweg_integration_tests::{DEADLINE, FraudInput, Process, S3, application};
use thalweg_s3_tests::{ACCESS_KEY, SECRET_KEY};

const ROLE: &str = "arn:aws:iam::123456789012:role/thalweg-tests";
const TOKEN: &str = "a-token-of-the-tests";
/// What the application sees of ours that could name other keys.
const OURS: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// One application, run in one process with a source of keys and an environment.
struct World {
    input: FraudInput,
    s3: S3,
}

impl World {
    fn new(prefix: &str) -> Self {
        Self { input: FraudInput::new(2_000, 94), s3: S3::new(prefix) }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.input.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs it to its end.
    fn run(&self, source: &str, environment: &[(&str, &str)]) -> Process {
        let mut settings: Vec<String> = Vec::new();
        for (key, value) in self.s3.settings(None) {
            if !key.ends_with("-key") {
                settings.push(format!("{key}={value}"));
            }
        }
        settings.push(format!("s3.credentials.source={source}"));
        settings.push(format!("execution.checkpointing.dir={}", self.s3.location("checkpoints")));
        settings.push("execution.checkpointing.interval=100 ms".to_owned());
        settings.extend(["rest.port=0".to_owned(), "metrics.port=0".to_owned()]);
        let mut words = vec!["local".to_owned()];
        words.extend(settings.into_iter().flat_map(|setting| ["-D".to_owned(), setting]));
        words.push("--".to_owned());
        words.extend(self.input.arguments_in(&self.s3.location(source), "run", &[]));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let binary = application("fraud-detection");
        Process::start_with(&format!("the run with {source}"), &binary, &words, |command| {
            for name in OURS {
                command.env_remove(name);
            }
            // Nor what lies in the home of who runs the tests.
            command.env("HOME", self.input.path(""));
            command.envs(environment.iter().copied());
        })
    }

    fn check(&self, source: &str) {
        for output in ["alerts", "late"] {
            let to = self.input.path(&format!("{source}-{output}"));
            self.s3.download(&format!("{source}/run-{output}"), &to);
        }
        self.input.check(source);
    }
}

#[test]
fn keys_come_from_the_environment() {
    let world = World::new("from-environment");
    let keys = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    for source in ["ENVIRONMENT", "AUTO"] {
        world.run(source, &keys).wait().succeeded();
        world.check(source);
    }
    let none = world.run("ENVIRONMENT", &[]).wait();
    none.failed_with(&["no usable keys were found", "s3.credentials.source"]);
}

#[test]
fn keys_come_from_a_profile() {
    let world = World::new("from-profile");
    let file = world.write(
        "credentials",
        &format!(
            "[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n\n[tests]\n\
             aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        ),
    );
    let file = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
    world.run("PROFILE", &[file, ("AWS_PROFILE", "tests")]).wait().succeeded();
    world.check("PROFILE");
    world.run("PROFILE", &[file]).wait().failed_with(&["InvalidAccessKeyId"]);
}

#[test]
fn keys_come_from_a_web_identity() {
    let world = World::new("from-web-identity");
    let (endpoint, asked) = key_service();
    let token = world.write("token", TOKEN);
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_ENDPOINT_URL_STS", &endpoint),
    ];
    world.run("WEB_IDENTITY", &environment).wait().succeeded();
    world.check("WEB_IDENTITY");
    let request = asked.recv_timeout(DEADLINE).unwrap();
    for part in ["Action=AssumeRoleWithWebIdentity", TOKEN, "role%2Fthalweg-tests"] {
        assert!(request.contains(part), "{part} is missing in {request}");
    }
}

/// Exchanges any token for the server's keys, and tells what it was asked.
fn key_service() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (tell, asked) = sync_channel(16);
    let serve = move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = read_request(&mut stream);
            let body = format!(
                "<AssumeRoleWithWebIdentityResponse \
                 xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleWithWebIdentityResult><Credentials>\
                 <AccessKeyId>{ACCESS_KEY}</AccessKeyId>\
                 <SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken></SessionToken>\
                 <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>\
                 </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            );
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).unwrap();
            if tell.send(request).is_err() {
                return;
            }
        }
    };
    Builder::new().name("keys".to_owned()).spawn(serve).unwrap();
    (endpoint, asked)
}

/// A request's head and body.
fn read_request(stream: &mut TcpStream) -> String {
    let (mut request, mut piece) = (String::new(), [0; 4_096]);
    loop {
        let read = stream.read(&mut piece).unwrap();
        request.push_str(&String::from_utf8_lossy(&piece[..read]));
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned)
        });
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if body.len() >= length || read == 0 {
            return request;
        }
    }
}
