"""The answer to a monitoring system."""

from pydantic import BaseModel, Field

from app.core.vocabulary import AlertStatus


class AlertResult(BaseModel):
    """What one alert did, and to which incident."""

    status: AlertStatus
    incident_id: int | None = Field(examples=[1])
    message: str = Field(examples=["Incident 1 was opened."])


class AlertAnswer(AlertResult):
    """The first alert's result. `results` has all of them."""

    results: list[AlertResult]
