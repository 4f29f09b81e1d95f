//! A month's sales on one page: totals, a bar a day, a row a product. As a PDF.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str};

use crate::{month::Month, report::grouped};

/// A4, in points.
const PAGE: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 56.0;
/// Helvetica is in every PDF reader, so no font is embedded.
const PLAIN: Name<'static> = Name(b"F1");
const BOLD: Name<'static> = Name(b"F2");
/// As many products as fit on the page.
const MOST_PRODUCTS: usize = 25;

/// What the lines add up to.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    lines: i64,
    cents: i64,
    days: BTreeMap<NaiveDate, i64>,
    products: BTreeMap<String, Sold>,
}

#[derive(Debug, Default)]
struct Sold {
    quantity: i64,
    cents: i64,
}

impl Summary {
    pub(crate) fn add(&mut self, day: NaiveDate, product: &str, quantity: i32, price_cents: i32) {
        let cents = i64::from(quantity) * i64::from(price_cents);
        self.lines += 1;
        self.cents += cents;
        *self.days.entry(day).or_default() += cents;
        if !self.products.contains_key(product) {
            self.products.insert(product.to_owned(), Sold::default());
        }
        if let Some(sold) = self.products.get_mut(product) {
            sold.quantity += i64::from(quantity);
            sold.cents += cents;
        }
    }

    /// The page as a PDF file.
    pub(crate) fn pdf(&self, month: Month) -> Vec<u8> {
        let [catalog, pages, page, content, plain, bold] = [1, 2, 3, 4, 5, 6].map(Ref::new);
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(pages);
        pdf.pages(pages).kids([page]).count(1);
        let mut only = pdf.page(page);
        only.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(pages).contents(content);
        only.resources().fonts().pair(PLAIN, plain).pair(BOLD, bold);
        only.finish();
        for (font, name) in [(plain, Name(b"Helvetica")), (bold, Name(b"Helvetica-Bold"))] {
            pdf.type1_font(font).base_font(name).encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        pdf.stream(content, &self.draw(month));
        pdf.finish()
    }

    fn draw(&self, month: Month) -> Vec<u8> {
        let mut page = Drawing(Content::new());
        let (left, right) = (MARGIN, PAGE.0 - MARGIN);
        page.text(BOLD, 22.0, left, 770.0, &format!("Sales {month}"));
        page.text(PLAIN, 11.0, left, 748.0, &format!("{} order lines, EUR {}", grouped(self.lines), euros(self.cents)));

        // A bar a day, the best day the highest.
        let days = (month.end() - month.first_day()).num_days().max(1) as f32;
        let (step, best) = ((right - left) / days, self.days.values().copied().max().unwrap_or(0).max(1) as f32);
        page.0.set_fill_rgb(0.54, 0.29, 0.06);
        for (day, cents) in &self.days {
            let height = 150.0 * *cents as f32 / best;
            page.0.rect(left + step * day.day0() as f32 + 1.0, 570.0, step - 2.0, height).fill_nonzero();
        }
        page.0.set_fill_gray(0.0);
        page.text(PLAIN, 8.0, left, 558.0, &month.first_day().to_string());
        page.right(PLAIN, 8.0, right, 558.0, &(month.end().pred_opt().unwrap_or(month.end())).to_string());

        let mut products: Vec<_> = self.products.iter().collect();
        products.sort_by_key(|(_, sold)| -sold.cents);
        let columns = (right - 110.0, right);
        page.text(BOLD, 11.0, left, 520.0, "Product");
        page.right(BOLD, 11.0, columns.0, 520.0, "Sold");
        page.right(BOLD, 11.0, columns.1, 520.0, "EUR");
        let mut y = 520.0;
        for (name, sold) in products.iter().take(MOST_PRODUCTS) {
            y -= 18.0;
            page.text(PLAIN, 11.0, left, y, name);
            page.right(PLAIN, 11.0, columns.0, y, &grouped(sold.quantity));
            page.right(PLAIN, 11.0, columns.1, y, &euros(sold.cents));
        }
        if products.len() > MOST_PRODUCTS {
            page.text(PLAIN, 11.0, left, y - 18.0, &format!("and {} more", products.len() - MOST_PRODUCTS));
        }
        page.0.finish().to_vec()
    }
}

/// Cents as `1,234.50`.
fn euros(cents: i64) -> String {
    format!("{}.{:02}", grouped(cents / 100), cents % 100)
}

struct Drawing(Content);

impl Drawing {
    fn text(&mut self, font: Name<'_>, size: f32, x: f32, y: f32, text: &str) {
        self.0.begin_text().set_font(font, size).next_line(x, y).show(Str(&latin(text))).end_text();
    }

    /// Ends at `x`. For numbers, dates and short headings.
    fn right(&mut self, font: Name<'_>, size: f32, x: f32, y: f32, text: &str) {
        let width: f32 = text.chars().map(width).sum();
        self.text(font, size, x - width * size / 1000.0, y, text);
    }
}

/// In thousandths of the size. Digits are equally wide; other letters are taken for average ones.
fn width(character: char) -> f32 {
    match character {
        '.' | ',' | ' ' => 278.0,
        '-' => 333.0,
        'E' | 'S' => 667.0,
        'U' | 'R' => 722.0,
        'l' => 278.0,
        _ => 556.0,
    }
}

/// The text in the font's encoding, which is Latin-1 but for a few signs; what it does not have is a
/// question mark.
fn latin(text: &str) -> Vec<u8> {
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7e | 0xa0..=0xff);
    text.chars().map(|character| u8::try_from(character).ok().filter(printable).unwrap_or(b'?')).collect()
}
