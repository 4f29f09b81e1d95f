//! A product with its picture, and the form to upload one.

use axum::{
    Json, RequestExt,
    extract::{FromRequest, Multipart, Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use haulage::JobId;

use super::{
    jobs,
    took::{Told, Took},
};
use crate::{
    frame::{Page, Text},
    input::wants_json,
    mail::money,
    picture,
    problem::Problem,
    web::App,
};

/// `GET /products/{product}`
pub(crate) async fn show(State(app): State<App>, Path(product): Path<String>, Query(told): Query<Told>) -> Result<Page, Problem> {
    let product = number(&product)?;
    let (name, blurb, price_cents): (String, String, i32) =
        sqlx::query_as("SELECT name, blurb, price_cents FROM shop.products WHERE id = $1")
            .bind(product)
            .fetch_optional(&app.pool)
            .await?
            .ok_or_else(unknown)?;
    let picture: Option<(i64, Option<i64>, bool)> =
        sqlx::query_as("SELECT id, job, thumbnail IS NOT NULL FROM shop.pictures WHERE product_id = $1 ORDER BY id DESC LIMIT 1")
            .bind(product)
            .fetch_optional(&app.pool)
            .await?;

    let mut body = told.note("The picture and its job were stored");
    body += &format!("<p class=\"lead\">{}. {}</p>\n", Text(blurb), money(i64::from(price_cents)));
    if let Some((picture, job, made)) = picture {
        let job = job.map(JobId);
        // Hidden until the job is completed: a lazy picture that is not shown is not fetched.
        body += &format!(
            "<p data-when-completed=\"{job}\"{hidden}><img class=\"picture\" loading=\"lazy\" src=\"/pictures/{picture}.jpg\" alt=\"{name}\"></p>\n",
            job = job.map_or_else(String::new, |job| job.to_string()),
            hidden = if made { "" } else { " hidden" },
            name = Text(&name),
        );
        if let Some(job) = job
            && let Some(status) = haulage::job(&app.pool, job).await?
        {
            body += &jobs::card("Thumbnail", &status);
        }
    }
    body += &format!(
        "<form class=\"card narrow\" method=\"post\" action=\"/products/{product}/picture\" enctype=\"multipart/form-data\">
<label>Picture, PNG or JPEG, up to {} MB <input name=\"picture\" type=\"file\" accept=\"image/png,image/jpeg\" required></label>
<button>Upload</button>
</form>",
        picture::MOST_BYTES >> 20,
    );
    Ok(Page { title: name, body })
}

/// `POST /products/{product}/picture`: a browser's form, or the picture itself as the body.
pub(crate) async fn upload(
    State(app): State<App>,
    Path(product): Path<String>,
    headers: HeaderMap,
    Upload(bytes): Upload,
) -> Result<Response, Problem> {
    let product = number(&product)?;
    let took = Took::start();
    let (picture, job) = picture::store(&app.pool, product, &bytes).await?;
    if wants_json(&headers) {
        let body = serde_json::json!({ "picture": picture, "job": job });
        Ok((StatusCode::ACCEPTED, Json(body)).into_response())
    } else {
        Ok(Redirect::to(&format!("/products/{product}?{took}")).into_response())
    }
}

/// The bytes of an uploaded file.
pub(crate) struct Upload(Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("multipart/form-data"));
        if !form {
            let bytes: axum::body::Bytes = request.extract().await.map_err(|_| too_big())?;
            return Ok(Self(bytes.into()));
        }
        let mut form = Multipart::from_request(request, state).await.map_err(|error| Problem::bad(format!("{}.", error.body_text())))?;
        while let Some(field) = form.next_field().await.map_err(|_| too_big())? {
            if field.name() == Some("picture") {
                return Ok(Self(field.bytes().await.map_err(|_| too_big())?.into()));
            }
        }
        Err(Problem::bad("The form has no picture."))
    }
}

/// `GET /pictures/{picture}.jpg`
pub(crate) async fn thumbnail(State(app): State<App>, Path(file): Path<String>) -> Result<Response, Problem> {
    let not_there = || Problem::not_found("There is no such picture, or it is still being made.");
    let picture: i64 = file.strip_suffix(".jpg").and_then(|id| id.parse().ok()).ok_or_else(not_there)?;
    let jpeg: Option<Vec<u8>> = sqlx::query_scalar("SELECT thumbnail FROM shop.pictures WHERE id = $1 AND thumbnail IS NOT NULL")
        .bind(picture)
        .fetch_optional(&app.pool)
        .await?;
    // A picture's number is never given to another.
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, jpeg.ok_or_else(not_there)?).into_response())
}

fn number(product: &str) -> Result<i32, Problem> {
    product.parse().map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::not_found("There is no such product.")
}

fn too_big() -> Problem {
    Problem::bad(format!("The upload broke off, or it has more than {} MB.", picture::MOST_BYTES >> 20))
}
