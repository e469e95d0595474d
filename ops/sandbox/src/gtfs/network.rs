//! agency.txt, feed_info.txt, stops.txt and routes.txt.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::archive::Archive;
use super::error::{GtfsError, GtfsErrorKind};
use super::model::{Agency, Feed, Route, Stop};
use super::table::{Row, Table, clip};

/// Reads who runs what between which places.
///
/// # Errors
/// What is wrong, and where.
pub fn read(archive: &mut Archive<'_>) -> Result<Feed, GtfsError> {
    let mut feed = Feed::default();
    read_agencies(&archive.required("agency.txt")?, &mut feed)?;
    if let Some(bytes) = archive.optional("feed_info.txt")? {
        read_publisher(&bytes, &mut feed)?;
    }
    if feed.publisher.is_empty() {
        let names: Vec<&str> = feed.agencies.iter().map(|a| a.name.as_str()).collect();
        feed.publisher = names.join(", ");
    }
    read_stops(&archive.required("stops.txt")?, &mut feed)?;
    read_routes(&archive.required("routes.txt")?, &mut feed)?;
    Ok(feed)
}

fn read_agencies(bytes: &[u8], feed: &mut Feed) -> Result<(), GtfsError> {
    let mut table = Table::open("agency.txt", bytes)?;
    let (name, zone) = (table.required("agency_name")?, table.required("agency_timezone")?);
    let id = table.optional("agency_id");
    while let Some(row) = table.next_row()? {
        let text = row.need(zone)?;
        if feed.zone.is_empty() {
            TimeZone::get(text)
                .map_err(|_| row.error(zone, GtfsErrorKind::UnknownZone(clip(text))))?;
            feed.zone = text.to_owned();
        } else if feed.zone != text {
            return Err(row.error(zone, GtfsErrorKind::ZonesDiffer(clip(text))));
        }
        let key = row.text(id)?;
        if feed.agencies.iter().any(|a| a.id == key) {
            return Err(row.error(id, GtfsErrorKind::DuplicateKey(clip(key))));
        }
        feed.agencies.push(Agency { id: key.to_owned(), name: row.need(name)?.to_owned() });
    }
    if feed.agencies.is_empty() {
        return Err(GtfsError::at("agency.txt", 2, "agency_name", GtfsErrorKind::MissingValue));
    }
    Ok(())
}

fn read_publisher(bytes: &[u8], feed: &mut Feed) -> Result<(), GtfsError> {
    let mut table = Table::open("feed_info.txt", bytes)?;
    let name = table.required("feed_publisher_name")?;
    if let Some(row) = table.next_row()? {
        row.text(name)?.clone_into(&mut feed.publisher);
    }
    Ok(())
}

fn read_stops(bytes: &[u8], feed: &mut Feed) -> Result<(), GtfsError> {
    let mut table = Table::open("stops.txt", bytes)?;
    let id = table.required("stop_id")?;
    let (name, kind) = (table.optional("stop_name"), table.optional("location_type"));
    let (lat, lon) = (table.optional("stop_lat"), table.optional("stop_lon"));
    let (parent, zone) = (table.optional("parent_station"), table.optional("zone_id"));
    let timezone = table.optional("stop_timezone");
    let mut index = HashMap::new();
    let mut parents: Vec<(usize, String, u64)> = Vec::new();
    while let Some(row) = table.next_row()? {
        let key = row.need(id)?;
        if index.insert(key.to_owned(), feed.stops.len() as u32).is_some() {
            return Err(row.error(id, GtfsErrorKind::DuplicateKey(clip(key))));
        }
        let location_type = row.number(kind)?.unwrap_or(0);
        if location_type > 4 {
            let kind_error =
                GtfsErrorKind::BadNumber { text: location_type.to_string(), wanted: "0 to 4" };
            return Err(row.error(kind, kind_error));
        }
        let (latitude_e6, longitude_e6) = (row.degrees_e6(lat, 90)?, row.degrees_e6(lon, 180)?);
        // Only nodes and boarding areas may go without a name and a position.
        if location_type <= 2 {
            row.need(name)?;
            if latitude_e6.is_none() || longitude_e6.is_none() {
                let column = if latitude_e6.is_none() { lat } else { lon };
                return Err(row.error(column, GtfsErrorKind::MissingValue));
            }
        }
        let up = row.text(parent)?;
        if !up.is_empty() {
            parents.push((feed.stops.len(), up.to_owned(), row.line()));
        }
        feed.stops.push(Stop {
            id: key.to_owned(),
            name: row.text(name)?.to_owned(),
            latitude_e6: latitude_e6.unwrap_or(0),
            longitude_e6: longitude_e6.unwrap_or(0),
            location_type,
            parent: None,
            fare_zone: row.text(zone)?.to_owned(),
            zone: zone_of_stop(&row, timezone)?,
        });
    }
    for (stop, up, line) in parents {
        let Some(&place) = index.get(up.as_str()) else {
            let kind = GtfsErrorKind::UnknownReference { id: clip(&up), file: "stops.txt" };
            return Err(GtfsError::at("stops.txt", line, "parent_station", kind));
        };
        feed.stops[stop].parent = Some(place);
    }
    Ok(())
}

fn zone_of_stop(row: &Row<'_>, column: super::table::Column) -> Result<Option<String>, GtfsError> {
    let text = row.text(column)?;
    if text.is_empty() {
        return Ok(None);
    }
    TimeZone::get(text).map_err(|_| row.error(column, GtfsErrorKind::UnknownZone(clip(text))))?;
    Ok(Some(text.to_owned()))
}

fn read_routes(bytes: &[u8], feed: &mut Feed) -> Result<(), GtfsError> {
    let mut table = Table::open("routes.txt", bytes)?;
    let (id, kind) = (table.required("route_id")?, table.required("route_type")?);
    let (short, long) = (table.optional("route_short_name"), table.optional("route_long_name"));
    let agency = table.optional("agency_id");
    let mut seen = std::collections::HashSet::new();
    while let Some(row) = table.next_row()? {
        let key = row.need(id)?;
        if !seen.insert(key.to_owned()) {
            return Err(row.error(id, GtfsErrorKind::DuplicateKey(clip(key))));
        }
        let (short_name, long_name) = (row.text(short)?, row.text(long)?);
        if short_name.is_empty() && long_name.is_empty() {
            return Err(row.error(short, GtfsErrorKind::MissingValue));
        }
        let owner = row.text(agency)?;
        let agency_index = if owner.is_empty() && feed.agencies.len() == 1 {
            0
        } else if owner.is_empty() {
            return Err(row.error(agency, GtfsErrorKind::MissingValue));
        } else {
            feed.agencies.iter().position(|a| a.id == owner).ok_or_else(|| {
                let kind = GtfsErrorKind::UnknownReference { id: clip(owner), file: "agency.txt" };
                row.error(agency, kind)
            })?
        };
        row.need(kind)?;
        feed.routes.push(Route {
            id: key.to_owned(),
            agency: agency_index as u32,
            short_name: short_name.to_owned(),
            long_name: long_name.to_owned(),
            route_type: row.number(kind)?.unwrap_or(3),
        });
    }
    Ok(())
}
