//! Signing up: a customer and a welcome mail, in one transaction.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use haulage::Job;
use serde::Deserialize;

use super::{
    jobs,
    took::{Told, Took},
};
use crate::{
    frame::Page,
    input::{Input, wants_json},
    mail::{WelcomeMail, check_address},
    problem::Problem,
    web::App,
};

pub(crate) async fn form() -> Page {
    Page {
        title: "Sign up".into(),
        body: "<p class=\"lead\">The account is stored and the welcome mail is enqueued in one \
transaction. The page does not wait for the mail.</p>
<form class=\"card narrow\" method=\"post\" action=\"/signup\">
<label>Name <input name=\"name\" required maxlength=\"100\" autocomplete=\"name\"></label>
<label>E-mail <input name=\"email\" type=\"email\" required autocomplete=\"email\"></label>
<button>Sign up</button>
</form>"
            .into(),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct SignUp {
    name: String,
    email: String,
}

/// `POST /signup`
pub(crate) async fn sign_up(State(app): State<App>, headers: HeaderMap, Input(new, _): Input<SignUp>) -> Result<Response, Problem> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(Problem::bad("A name has 1 to 100 characters."));
    }
    check_address(&new.email)?;

    let took = Took::start();
    let mut tx = app.pool.begin().await?;
    // A guest who ordered before becomes a customer; one who signed up before does not match.
    let customer: Option<i64> = sqlx::query_scalar(
        "INSERT INTO shop.customers (email, name, signed_up_at)
         VALUES ($1, $2, now())
         ON CONFLICT (email) DO UPDATE SET name = excluded.name, signed_up_at = now()
         WHERE customers.signed_up_at IS NULL
         RETURNING id",
    )
    .bind(&new.email)
    .bind(name)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(customer) = customer else {
        return Err(Problem::bad("There is an account with this e-mail address already."));
    };
    let job = WelcomeMail { customer }.enqueue(&mut *tx).await?.id();
    tx.commit().await?;

    if wants_json(&headers) {
        let body = serde_json::json!({ "customer": customer, "welcome_job": job });
        Ok((StatusCode::CREATED, Json(body)).into_response())
    } else {
        Ok(Redirect::to(&format!("/signup/{job}?{took}")).into_response())
    }
}

/// `GET /signup/{job}`
pub(crate) async fn welcome(State(app): State<App>, Path(job): Path<String>, Query(told): Query<Told>) -> Result<Page, Problem> {
    let job = job.parse().map_err(|_| Problem::not_found("There is no such page."))?;
    let status = jobs::find(&app, job).await?;
    let note = told.note("Your account and its welcome mail were stored");
    Ok(Page { title: "Welcome".into(), body: note + &jobs::card("Welcome mail", &status) })
}
