//! Asking for a month's sales, watching the report grow, fetching it.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use chrono::{Months, NaiveDate};
use haulage::{Enqueued, Job, JobId};
use serde::Deserialize;

use super::{
    jobs,
    took::{Told, Took},
};
use crate::{
    frame::{Page, Text},
    input::{Input, wants_json},
    month::Month,
    problem::Problem,
    report::{ReportFile, SalesReport, grouped},
    web::App,
};

#[derive(Debug, Deserialize)]
pub(crate) struct Ask {
    month: String,
}

/// `POST /reports`
pub(crate) async fn ask(State(app): State<App>, headers: HeaderMap, Input(ask, _): Input<Ask>) -> Result<Response, Problem> {
    let month: Month = ask.month.parse().map_err(|error| Problem::bad(format!("{error}.")))?;

    let took = Took::start();
    // A month that is being made already is not made twice: both get the same job.
    let (job, duplicate) = match (SalesReport { month }).enqueue(&app.pool).await? {
        Enqueued::New(job) => (job, false),
        Enqueued::Duplicate(job) => (job, true),
    };

    if wants_json(&headers) {
        let body = serde_json::json!({ "job": job, "duplicate": duplicate });
        Ok((StatusCode::ACCEPTED, Json(body)).into_response())
    } else {
        Ok(Redirect::to(&format!("/reports/{job}?{took}")).into_response())
    }
}

/// `GET /reports`
pub(crate) async fn list(State(app): State<App>) -> Result<Page, Problem> {
    let mut body = String::from(
        "<p class=\"lead\">A report reads every order line of a month. That takes a worker some \
seconds, and this page none.</p>
<form class=\"card narrow\" method=\"post\" action=\"/reports\">
<label>Month <select name=\"month\">\n",
    );
    for month in months(&app).await? {
        body += &format!("<option>{month}</option>\n");
    }
    body += "</select></label>\n<button>Make the report</button>\n</form>\n";

    let made: Vec<(i64, String, i64, i64)> = sqlx::query_as(
        "SELECT job, name, rows, octet_length(csv)::bigint
         FROM shop.reports
         ORDER BY job DESC
         LIMIT 20",
    )
    .fetch_all(&app.pool)
    .await?;
    if !made.is_empty() {
        body += "<h2>Made</h2>\n<table>\n";
        for (job, name, rows, bytes) in made {
            body += &format!(
                "<tr><td><a href=\"/reports/{job}\">{}</a></td><td class=\"number\">{} lines</td>\
<td class=\"number\">{}</td></tr>\n",
                Text(name),
                grouped(rows),
                kilobytes(bytes),
            );
        }
        body += "</table>\n";
    }
    Ok(Page { title: "Sales reports".into(), body })
}

/// The months that have orders, latest first.
async fn months(app: &App) -> Result<Vec<Month>, Problem> {
    let (first, last): (Option<NaiveDate>, Option<NaiveDate>) =
        sqlx::query_as("SELECT min(placed_at)::date, max(placed_at)::date FROM shop.orders").fetch_one(&app.pool).await?;
    let (Some(first), Some(last)) = (first.map(Month::of), last.map(Month::of)) else {
        return Ok(Vec::new());
    };
    Ok((0..24)
        .map_while(|back| last.first_day().checked_sub_months(Months::new(back)))
        .take_while(|day| *day >= first.first_day())
        .map(Month::of)
        .collect())
}

/// `GET /reports/{job}`
pub(crate) async fn show(State(app): State<App>, Path(job): Path<String>, Query(told): Query<Told>) -> Result<Page, Problem> {
    let status = jobs::find(&app, job_id(&job)?).await?;
    let mut body = told.note("The report was enqueued");
    body += &jobs::card("Sales report", &status);

    let file: Option<ReportFile> = status.output_as()?;
    let summary = file.as_ref().map_or_else(String::new, |file| format!("{} lines, {}", grouped(file.rows), kilobytes(file.bytes as i64)));
    let no_pdf = if file.as_ref().is_some_and(|file| file.pdf_bytes == 0) { " hidden" } else { "" };
    // The script shows the links once the job is completed.
    body += &format!(
        "<p data-when-completed=\"{job}\"{hidden}><a class=\"button\" \
href=\"/reports/{job}/download\">Every line, CSV</a> <a class=\"button\" href=\"/reports/{job}/pdf\"{no_pdf}>One page, PDF</a> \
<span class=\"muted\">{summary}</span></p>",
        job = status.id,
        hidden = if file.is_some() { "" } else { " hidden" },
    );
    Ok(Page { title: "Sales report".into(), body })
}

/// `GET /reports/{job}/download`
pub(crate) async fn download(State(app): State<App>, Path(job): Path<String>) -> Result<Response, Problem> {
    let file: Option<(String, String)> =
        sqlx::query_as("SELECT name, csv FROM shop.reports WHERE job = $1").bind(job_id(&job)?.0).fetch_optional(&app.pool).await?;
    let (name, csv) = file.ok_or_else(|| Problem::not_found("This report is not ready, or there is none."))?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, csv).into_response())
}

/// `GET /reports/{job}/pdf`
pub(crate) async fn pdf(State(app): State<App>, Path(job): Path<String>) -> Result<Response, Problem> {
    let file: Option<(String, Vec<u8>)> = sqlx::query_as("SELECT name, pdf FROM shop.reports WHERE job = $1 AND pdf IS NOT NULL")
        .bind(job_id(&job)?.0)
        .fetch_optional(&app.pool)
        .await?;
    let (name, pdf) = file.ok_or_else(|| Problem::not_found("This report is not ready, or there is none."))?;
    let headers = [
        (header::CONTENT_TYPE, "application/pdf".to_owned()),
        (header::CONTENT_DISPOSITION, format!("inline; filename=\"{}\"", name.replace(".csv", ".pdf"))),
    ];
    Ok((headers, pdf).into_response())
}

fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|_| Problem::not_found("There is no such report."))
}

fn kilobytes(bytes: i64) -> String {
    format!("{} kB", grouped((bytes + 999) / 1000))
}
