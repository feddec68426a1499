"""Which build this is: replaced in a layer's zip by the layer it belongs to and the commit it was made from."""

BUILD = "source"
