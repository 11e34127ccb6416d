"""Will this customer buy again within 30 days? Invoices of a British shop for gifts, 2010-2011 (Online Retail)."""

from datetime import datetime

from lightgbm import LGBMClassifier

import modelwright as mw
from modelwright import agg, gate, retrain, source


@mw.event(id="invoice", entity="customer_id", time="at")
class Invoice:
    """An invoice; one that is cancelled takes goods back."""

    invoice: str
    customer_id: str | None  # one invoice in six names nobody
    at: datetime
    country: str
    cancelled: bool
    lines: int
    products: int
    units: int
    amount: float
    dearest: float


customer = mw.FeatureView(
    Invoice,
    bought_30d=agg.count(over="30d", where="not cancelled"),
    bought_ever=agg.count(where="not cancelled"),
    idle=agg.time_since_last(where="not cancelled"),
)
country = mw.FeatureView(Invoice, by="country", country_bought_7d=agg.count(over="7d", where="not cancelled"))
shop = mw.FeatureView(Invoice, by=None, shop_again_30d=agg.mean("buys_again", over="30d"))  # as far as it is known

system = mw.System(
    name="retail",
    event=Invoice,
    source=source.files("data/invoices.parquet"),
    features=[customer, country, shop],
    inputs=["cancelled", *customer.features, *country.features, *shop.features],
    # Read from the invoices that follow, so nobody has to tell it; of an invoice that names nobody it is never known.
    label=mw.Label.ahead(agg.count(over="30d", where="not cancelled"), by="customer_id", name="buys_again", kind=bool),
    model=LGBMClassifier(n_estimators=60, num_leaves=4, min_child_samples=40, learning_rate=0.05, n_jobs=1, verbose=-1),
    metric="roc_auc",
    gates=[gate.metric("roc_auc", at_least=0.65), gate.better_than("baseline")],
    retrain=[retrain.every("7d")],
)
