-- The settings of this project; `iza help projects` explains them.
return {
  name = "PROJECT_NAME",
}
