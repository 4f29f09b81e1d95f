//! A real browser, driven as a person would: Chromium, by the five commands of WebDriver that the tests need
//! (<https://www.w3.org/TR/webdriver2/>). A crate for all of it would bring 25 others.

use std::{
    io::{BufRead, BufReader},
    panic::{AssertUnwindSafe, resume_unwind},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::FutureExt;
use serde_json::{Value, json};

/// What finds faults that keep people out who hear a page, or use no mouse.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/axe/node_modules/axe-core/axe.min.js");

/// The name of an element's id on the wire.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A window of its own, without a past.
pub(crate) struct Browser {
    pub(crate) client: reqwest::Client,
    /// The address of the session.
    pub(crate) session: String,
}

impl Browser {
    /// Opens one for the time of a test, and closes it however that ends.
    pub(crate) async fn with(test: impl AsyncFnOnce(&Self)) {
        let (mut driver, port) = start_driver();
        let ended = AssertUnwindSafe(async {
            let browser = Self::open(&format!("http://127.0.0.1:{port}")).await;
            let ended = AssertUnwindSafe(test(&browser)).catch_unwind().await;
            // The browser ends with its session, not with the driver.
            let closed = browser.client.delete(&browser.session).send().await;
            ended.unwrap_or_else(|panic| resume_unwind(panic));
            closed.unwrap();
        });
        let ended = ended.catch_unwind().await;
        driver.kill().ok();
        driver.wait().ok();
        ended.unwrap_or_else(|panic| resume_unwind(panic));
    }

    async fn open(driver: &str) -> Self {
        let options = json!({ "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
        let wishes = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let mut browser = Self {
            client: reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap(),
            session: format!("{driver}/session"),
        };
        let opened = browser.command("", &wishes).await;
        browser.session = format!("{}/{}", browser.session, opened["sessionId"].as_str().unwrap());
        browser
    }

    pub(crate) async fn go(&self, url: &str) {
        self.command("/url", &json!({ "url": url })).await;
    }

    pub(crate) async fn resize(&self, width: u32, height: u32) {
        self.command("/window/rect", &json!({ "width": width, "height": height })).await;
    }

    /// What a script on the page returns.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// What a script on the page gives to the function that is its argument.
    pub(crate) async fn ask_async(&self, script: &str) -> Value {
        self.command("/execute/async", &json!({ "script": script, "args": [] })).await
    }

    /// In this theme, once all that fades has faded.
    pub(crate) async fn dress(&self, theme: &str) {
        self.ask_async(&format!(
            "const [done] = arguments; document.documentElement.dataset.theme = '{theme}'; requestAnimationFrame(() => Promise.allSettled(
             document.getAnimations().filter((one) => one instanceof CSSTransition).map(({{ finished }}) => finished)).then(() => done()))"
        ))
        .await;
    }

    /// Looks at the page that it is on in both themes and at three widths: it fits, and axe finds nothing.
    pub(crate) async fn passes(&self, page: &str) {
        for theme in ["light", "dark"] {
            self.dress(theme).await;
            for width in [375, 768, 1_280] {
                self.resize(width, 900).await;
                let fits = self.ask("return document.documentElement.scrollWidth <= document.documentElement.clientWidth").await;
                assert_eq!(fits, json!(true), "{page} at {width} is wider than the window");
            }
            assert_eq!(self.faults().await, json!([]), "{page}, {theme}");
        }
    }

    /// What axe finds on the page: nothing, if it is well.
    async fn faults(&self) -> Value {
        let axe = std::fs::read_to_string(AXE).unwrap_or_else(|error| panic!("{AXE}: {error}; `.ci/setup browser` installs it"));
        self.ask(&axe).await;
        self.ask_async(
            "const [done] = arguments; axe.run().then(({ violations }) => done(violations.map(({ id, nodes }) => \
             [id, ...nodes.map(({ html }) => html)])))",
        )
        .await
    }

    pub(crate) async fn click(&self, place: &str) {
        self.command(&format!("/element/{}/click", self.find(place).await), &json!({})).await;
    }

    /// Types a text into a field.
    pub(crate) async fn write(&self, place: &str, text: &str) {
        self.command(&format!("/element/{}/value", self.find(place).await), &json!({ "text": text })).await;
    }

    async fn find(&self, place: &str) -> String {
        let found = self.command("/element", &json!({ "using": "css selector", "value": place })).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    async fn command(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.post(format!("{}{path}", self.session)).json(body).send().await.unwrap();
        let status = answer.status();
        let mut answer: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path} {body}: {answer}");
        answer["value"].take()
    }
}

/// The driver, and the port that it listens on.
fn start_driver() -> (Child, String) {
    let program = "chromedriver";
    let mut driver = Command::new(program)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}; `.ci/setup browser` installs it"));
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        Some(port.trim_end_matches('.').to_owned())
    });
    (driver, port.expect("chromedriver tells its port"))
}
