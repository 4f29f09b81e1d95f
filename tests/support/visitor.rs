//! Somebody who acts by the pages, with the forms that stand there.

use reqwest::{StatusCode, Url};

use super::{page::client, text::unescape};

/// Somebody with a browser without a script: it keeps cookies, says where forms come from, and follows no redirect.
pub(crate) struct Visitor {
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    cookies: std::sync::Mutex<Vec<(String, String)>>,
    /// Name and password.
    log_in: Option<(String, String)>,
}

/// What a page answered.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    /// Where a redirect leads.
    pub(crate) to: Option<String>,
}

impl Visitor {
    pub(crate) fn at(url: &str) -> Self {
        Self { url: url.to_owned(), client: client(), cookies: std::sync::Mutex::default(), log_in: None }
    }

    /// Who logs in with each request.
    pub(crate) fn known(url: &str, name: &str, password: &str) -> Self {
        Self { log_in: Some((name.to_owned(), password.to_owned())), ..Self::at(url) }
    }

    /// With the same cookies.
    pub(crate) fn at_another(self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self }
    }

    pub(crate) fn cookie(&self) -> String {
        self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let request = request.header("cookie", self.cookie());
        let request = self.log_in.iter().fold(request, |request, (name, password)| request.basic_auth(name, Some(password)));
        let answer = request.send().await.unwrap();
        for set in answer.headers().get_all("set-cookie") {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        Page { status: answer.status(), to, body: answer.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(self.client.get(format!("{}/{path}", self.url))).await
    }

    /// Presses the button of this name on a page: sends its form, or the one that it leads to, with what is typed.
    pub(crate) async fn press(&self, path: &str, label: &str, typed: &[(&str, &str)]) -> Page {
        let form = self.form(path, label).await;
        self.post(&with(form, typed)).await
    }

    /// The fields behind a button.
    pub(crate) async fn form(&self, path: &str, label: &str) -> Vec<(String, String)> {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        let ends = format!(">{label}");
        let said = page.body.split("name=\"do\" value=\"").skip(1).find(|rest| rest.split("</button>").next().unwrap().ends_with(&ends));
        if let Some(said) = said {
            let form = forms(&page.body).into_iter().find(|form| form.starts_with("<form id=\"do\"")).expect("the form of the buttons");
            return with(fields(&form), &[("do", &unescape(said.split('"').next().unwrap()))]);
        }
        let link = page.body.split("<a class=\"btn").skip(1).find(|rest| {
            let text = rest.split("</a>").next().unwrap();
            text.ends_with(&format!(">{label}…"))
        });
        let link = link.unwrap_or_else(|| panic!("{path} has no button {label}: {}", page.body));
        let href = unescape(link.split("href=\"").nth(1).unwrap().split('"').next().unwrap());
        let at = Url::parse(&format!("{}/{path}", self.url)).unwrap().join(&href).unwrap();
        let asks = self.send(self.client.get(at.clone())).await;
        assert_eq!(asks.status, StatusCode::OK, "{at}: {}", asks.body);
        let form = forms(&asks.body).into_iter().find(|form| form.starts_with("<form class=\"act\""));
        fields(&form.unwrap_or_else(|| panic!("{at} asks for nothing: {}", asks.body)))
    }

    pub(crate) async fn post(&self, fields: &[(String, String)]) -> Page {
        self.send(
            self.client
                .post(format!("{}/act", self.url))
                .header("sec-fetch-site", "same-origin")
                .header(FORM.0, FORM.1)
                .body(encoded(fields)),
        )
        .await
    }

    /// The message on the page that a form leads to.
    pub(crate) async fn told(&self, answer: &Page) -> String {
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        let to = answer.to.as_ref().unwrap().strip_prefix("./").expect("the way back is relative");
        let page = self.get(to).await;
        let message = page.body.split("role=\"status\">").nth(1).unwrap_or_else(|| panic!("{to} says nothing: {}", page.body));
        let message = message.split("<p>").nth(1).unwrap().split("</p>").next().unwrap().to_owned();
        assert!(!self.get(to).await.body.contains("role=\"status\""), "it is said once");
        unescape(&message)
    }
}

pub(crate) fn with(mut form: Vec<(String, String)>, typed: &[(&str, &str)]) -> Vec<(String, String)> {
    form.retain(|(name, _)| !typed.iter().any(|(typed, _)| typed == name));
    form.extend(typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    form
}

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub(crate) fn encoded(fields: &[(String, String)]) -> String {
    Url::parse_with_params("http://none", fields).unwrap().query().unwrap_or_default().to_owned()
}

fn forms(page: &str) -> Vec<String> {
    page.split("<form ").skip(1).map(|rest| format!("<form {}", rest.split("</form>").next().unwrap())).collect()
}

/// The fields that a browser would send: inputs, the chosen options, texts.
fn fields(form: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| tag.split(&format!("{name}=\"")).nth(1).map(|rest| unescape(rest.split('"').next().unwrap()));
    let inputs = form.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap());
    let mut fields: Vec<_> =
        inputs.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))).collect();
    for rest in form.split("<textarea ").skip(1) {
        let (tag, text) = rest.split_once('>').unwrap();
        fields.push((attribute(tag, "name").unwrap(), unescape(text.split("</textarea>").next().unwrap().trim_start_matches('\n'))));
    }
    fields
}
