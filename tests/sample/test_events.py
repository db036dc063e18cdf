from gateway.sample.calendar import from_date
from tests.sample.made import province


def test_reports_are_few_and_about_doses_that_were_given():
    made = province(900)
    doses = {dose.record_id: dose for family in made.families() for dose in family.doses}
    assert 0 < len(made.events) < len(doses) / 500
    late = {truth.record_id for truth in made.event_truth}
    for report in made.events:
        (suspect,) = report.suspects
        dose = doses[suspect.record_id]
        assert report.child_code == dose.child_code
        assert from_date(report.onset_date) >= from_date(dose.vaccinated_date)
        hours = (report.reported_time.seconds - report.discovered_time.seconds) / 3600
        assert (hours > 48) == (report.report_id in late)
