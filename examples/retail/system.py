"""Will this customer buy again within 30 days? Invoices of a British online shop for gifts, 2010-2011 (Online Retail)."""

from datetime import datetime

from lightgbm import LGBMClassifier

import modelwright as mw
from modelwright import agg, gate, retrain, rollout, source


@mw.event(id="invoice", entity="customer_id", time="at")
class Invoice:
    """An invoice, or with `cancelled` what takes one back."""

    invoice: str
    customer_id: str | None  # one in six is of nobody known
    at: datetime
    country: str
    cancelled: bool
    lines: int
    products: int
    units: int
    amount: float
    dearest: float


bought = "not cancelled"
customer = mw.FeatureView(
    Invoice,
    bought_7d=agg.count(over="7d", where=bought),
    bought_30d=agg.count(over="30d", where=bought),
    bought_ever=agg.count(where=bought),
    spent_30d=agg.sum("amount", over="30d"),
    spent_ever=agg.sum("amount"),
    usual_amount=agg.mean("amount", where=bought),
    usual_lines=agg.mean("lines", where=bought),
    cancelled_ever=agg.count(where="cancelled"),
    idle=agg.time_since_last(where=bought),
)
market = mw.FeatureView(
    Invoice,
    by="country",
    country_bought_7d=agg.count(over="7d", where=bought),
    country_usual_amount=agg.mean("amount", over="30d", where=bought),
)
shop = mw.FeatureView(
    Invoice,
    by=None,
    shop_bought_1d=agg.count(over="1d", where=bought),
    shop_bought_7d=agg.count(over="7d", where=bought),
    shop_again_30d=agg.mean("buys_again", over="30d"),  # how often customers came back, as far as it is known
)

system = mw.System(
    name="retail",
    event=Invoice,
    source=source.files("data/invoices.parquet"),
    features=[customer, market, shop],
    inputs=[
        "cancelled", "lines", "products", "units", "amount", "dearest",
        *customer.features, *market.features, *shop.features,
    ],
    label=mw.Label.ahead(agg.count(over="30d", where=bought), by="customer_id", name="buys_again", kind=bool),
    model=LGBMClassifier(n_estimators=60, num_leaves=7, learning_rate=0.05, n_jobs=1, verbose=-1),
    metric="roc_auc",
    gates=[gate.metric("roc_auc", at_least=0.6), gate.better_than("baseline")],
    retrain=[retrain.every("7d")],
    check="6h",
)  # fmt: skip
