--- The version of iza.
return "0.1.0"
