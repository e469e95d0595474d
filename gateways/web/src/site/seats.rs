//! The seat map: coach by coach, as the seats stand in the train.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use guichet_ports::ticket_information::SeatState;

use super::book::Trip;
use super::fields::Fields;
use super::page::{self, Chrome, render};
use crate::server::App;
use crate::text::Text;

/// A place in a row: a seat, a gap where none stands, or the aisle.
enum Cell {
    Seat {
        unit: u16,
        label: String,
        name: String,
        spoken: String,
        free: bool,
        wheelchair: bool,
        picked: bool,
    },
    None,
    Aisle,
}

/// Seats side by side.
struct Row {
    cells: Vec<Cell>,
}

/// A coach.
struct Coach {
    name: String,
    free: u32,
    rows: Vec<Row>,
}

/// A label such as `12A`, taken apart; what is no number and letter is a row of its own.
fn parts(label: &str) -> (&str, &str) {
    let end = label.find(|c: char| !c.is_ascii_digit()).unwrap_or(label.len());
    match label.split_at(end) {
        ("", _) | (_, "") => (label, ""),
        (row, letter) => (row, letter),
    }
}

fn coaches(t: Text, seats: &[SeatState], picked: &BTreeSet<u16>) -> Vec<Coach> {
    let mut by_coach: Vec<(String, Vec<&SeatState>)> = Vec::new();
    for seat in seats {
        let label = &seat.info.seat.coach;
        match by_coach.iter_mut().find(|(known, _)| known == label) {
            Some((_, list)) => list.push(seat),
            None => by_coach.push((label.clone(), vec![seat])),
        }
    }
    by_coach.into_iter().map(|(label, seats)| coach(t, &label, &seats, picked)).collect()
}

fn coach(t: Text, label: &str, seats: &[&SeatState], picked: &BTreeSet<u16>) -> Coach {
    let mut letters: BTreeMap<&str, bool> = BTreeMap::new();
    let mut rows: Vec<(&str, BTreeMap<&str, &SeatState>)> = Vec::new();
    for seat in seats {
        let (row, letter) = parts(&seat.info.seat.seat);
        let at_aisle = letters.entry(letter).or_default();
        *at_aisle |= seat.info.aisle;
        match rows.iter_mut().find(|(known, _)| *known == row) {
            Some((_, list)) => {
                list.insert(letter, seat);
            }
            None => rows.push((row, BTreeMap::from([(letter, *seat)]))),
        }
    }
    // Across a row, the aisle lies between two neighbours that are both at the aisle.
    let order: Vec<(&str, bool)> = letters.into_iter().collect();
    let aisle = order.windows(2).position(|pair| pair[0].1 && pair[1].1);
    let rows = rows
        .into_iter()
        .map(|(_, list)| {
            let mut cells = Vec::with_capacity(order.len() + 1);
            for (n, (letter, _)) in order.iter().enumerate() {
                cells.push(list.get(letter).map_or(Cell::None, |s| cell(t, s, picked)));
                if aisle == Some(n) {
                    cells.push(Cell::Aisle);
                }
            }
            Row { cells }
        })
        .collect();
    let free = seats.iter().filter(|s| s.free).count();
    Coach {
        name: t.with("seats.coach", "coach", label),
        free: u32::try_from(free).unwrap_or(u32::MAX),
        rows,
    }
}

fn cell(t: Text, seat: &SeatState, picked: &BTreeSet<u16>) -> Cell {
    let (coach, label) = (&seat.info.seat.coach, &seat.info.seat.seat);
    let mut spoken = vec![t.with2("seats.label", &("coach", "seat"), coach, label)];
    if seat.info.window {
        spoken.push(t.get("seats.window"));
    }
    if seat.info.aisle {
        spoken.push(t.get("seats.aisle"));
    }
    if seat.info.wheelchair {
        spoken.push(t.get("seats.wheelchair"));
    }
    spoken.push(t.get(if seat.free { "seats.free" } else { "seats.taken" }));
    Cell::Seat {
        unit: seat.unit.0,
        label: label.clone(),
        name: t.with2("seats.name", &("coach", "seat"), coach, label),
        spoken: spoken.join(", "),
        free: seat.free,
        wheelchair: seat.info.wheelchair,
        picked: seat.free && picked.contains(&seat.unit.0),
    }
}

#[derive(Template)]
#[template(path = "seats.html")]
struct SeatsPage<'a> {
    c: &'a Chrome,
    trip: &'a Trip,
    coaches: Vec<Coach>,
    passengers: usize,
    chosen: usize,
    skip: String,
}

/// The map of a class.
pub async fn map(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let t = Text(crate::language::of(&request));
    let query = Fields::query(request.query_string());
    let Some(trip) = Trip::read(&app, t, &query) else {
        return page::problem(&app, &request, StatusCode::NOT_FOUND, "service");
    };
    let chrome = Chrome::new(&app, &request, t.get("seats.title"));
    let picked: BTreeSet<u16> = query.all("seat").filter_map(|s| s.parse().ok()).collect();
    let passengers = trip.passengers;
    let coaches = coaches(t, &trip.seats(&app), &picked);
    let page = SeatsPage {
        c: &chrome,
        skip: format!("/book?{}", trip.query(passengers, &[])),
        trip: &trip,
        coaches,
        passengers,
        chosen: picked.len().min(passengers),
    };
    render(StatusCode::OK, &chrome, &page)
}

#[cfg(test)]
mod tests {
    use guichet_engine::event::{Seat, Unit};
    use guichet_engine::ids::UnitNo;

    use super::*;
    use crate::language::Language;

    fn seat(unit: u16, label: &str, aisle: bool, free: bool) -> SeatState {
        SeatState {
            unit: UnitNo(unit),
            info: Unit {
                seat: Seat { coach: "3".into(), seat: label.into() },
                class: 2,
                window: false,
                aisle,
                wheelchair: false,
            },
            free,
        }
    }

    fn drawn(seats: &[SeatState], picked: &[u16]) -> String {
        let picked = picked.iter().copied().collect();
        let coaches = coaches(Text(Language::English), seats, &picked);
        let mut out = String::new();
        for row in coaches.iter().flat_map(|c| &c.rows) {
            for cell in &row.cells {
                out.push_str(&match cell {
                    Cell::Seat { label, free: true, picked: true, .. } => format!("({label})"),
                    Cell::Seat { label, free: true, .. } => format!(" {label} "),
                    Cell::Seat { .. } => " xx ".to_owned(),
                    Cell::None => " .. ".to_owned(),
                    Cell::Aisle => "|".to_owned(),
                });
            }
            out.push('/');
        }
        out
    }

    #[test]
    fn seats_stand_as_in_the_train() {
        let seats = [
            seat(0, "1A", false, true),
            seat(1, "1C", true, true),
            seat(2, "1D", true, false),
            seat(3, "1F", false, true),
            seat(4, "2C", true, true),
            seat(5, "2D", true, true),
        ];
        assert_eq!(drawn(&seats, &[5, 2]), " 1A  1C | xx  1F / ..  2C |(2D) .. /");
        assert_eq!(drawn(&[seat(0, "Table", true, true)], &[]), " Table /");
        assert_eq!(drawn(&[], &[]), "");
    }
}
